"""One round, one way, in a process of its own whose memory is measured: `python -m benchmarks.one_side FOLDER SIDE`."""

import sys
from pathlib import Path

from benchmarks.numpy_client import one_by_one, round_arrays
from feature_store.fold_in import FoldInSettings
from training.histories import Histories


def compute_round(folder: Path, side: str) -> None:
    """Compute the round of `round.npz` as the side named `vectorised` or `numpy` does, without TensorFlow."""
    known = round_arrays(str(folder / "round.npz"))
    alpha, regularization = known["weights"].tolist()
    histories, weights = Histories(known["rows"], known["offsets"]), FoldInSettings(alpha, regularization)
    if side == "vectorised":
        from training.streaming import streamed_update  # noqa: PLC0415 - the other side's memory is without a compiler

        streamed_update(known["item_vectors"], histories, weights)
    else:
        one_by_one(known["item_vectors"], histories, weights)


if __name__ == "__main__":
    compute_round(Path(sys.argv[1]), sys.argv[2])
