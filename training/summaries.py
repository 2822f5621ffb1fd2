"""TensorBoard summaries of a run."""

import errno
from collections.abc import Sequence
from pathlib import Path

from training.run_log import RoundRecord
from training.tf import tf

_FILE = "events.out.tfevents.hearth"


def write_summaries(folder: Path, rounds: Sequence[RoundRecord], text: str) -> None:
    """Write an event file: figures of each round by its number, and the configuration as text (Markdown).

    The file's name is always the same: TensorFlow's own holds the name of the machine, and the number of a process.

    Args:
        folder: made here; it must not exist yet.
        rounds: what to write.
        text: the configuration.

    Raises:
        OSError: the folder cannot be written, as on a full disk.
    """
    folder.mkdir(parents=True)
    try:
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default():
            tf.summary.text("configuration", text, step=0)
            for record in rounds:
                for tag, value in _figures(record, rounds).items():
                    tf.summary.scalar(tag, value, step=record.round_number)
        writer.close()
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, f"TensorBoard's events cannot be written: {error.message}", str(folder)) from error
    (written,) = folder.iterdir()
    written.rename(folder / _FILE)


def _figures(record: RoundRecord, rounds: Sequence[RoundRecord]) -> dict[str, float]:
    so_far = [other for other in rounds if other.round_number <= record.round_number]
    figures = {
        "loss": record.loss,
        "ndcg@20/validation": record.ndcg,
        "recall@20/validation": record.recall,
        "seconds/round": record.seconds,
        "seconds/total": sum(other.seconds for other in so_far),
        "clients_per_second": record.clients_per_second,
        "uplink_bytes/client_and_round": record.uplink_bytes_per_client,
        "uplink_bytes/client_total": sum(other.uplink_bytes_per_client for other in so_far),
        "uplink_bytes/all_clients_total": sum(other.cohort * other.uplink_bytes_per_client for other in so_far),
    }
    return {tag: float(value) for tag, value in figures.items() if value is not None}
