"""Compressed rounds between processes: an announcement as a task, and what a cell answers to it.

What an announcement is and what a cell makes of it is `training.compression`'s affair. No TensorFlow in here.
"""

import numpy as np

from training.compression.announcement import Announcement
from training.compression.client import compressed
from training.federation.errors import Refused
from training.federation.people import People
from training.federation.sums import Sums, of_update
from training.federation.tasks import Arrays, CompressedTask, LossSettings, TaskMessage
from training.histories import Chosen
from training.streaming import streamed_update


def compressed_task(
    asked: Announcement, run_id: str, round_number: int, population: int, loss: LossSettings
) -> TaskMessage:
    """The task of a round.

    asked: with a table of int8 (`training.federation.federated_run.require_federated`).
    population: people who take part, in all cells.
    """
    header = CompressedTask(
        run_id=run_id,
        round_number=round_number,
        population=population,
        loss=loss,
        levels=asked.levels,
        cells=asked.cells,
    )
    arrays: Arrays = {"table": asked.table.view(np.uint8), "scales": asked.scales, "steps": asked.steps}
    return TaskMessage(header, arrays)


def announcement_of(header: CompressedTask, arrays: Arrays) -> Announcement:
    """The announcement that `compressed_task` was given; raises `Refused` for one that is none."""
    table, scales, steps = arrays["table"].view(np.int8), arrays["scales"], arrays["steps"]
    if len(scales) != len(table) or len(steps) not in {0, len(table)}:
        raise Refused(
            f"a table of {len(table)} items has a scale each, and steps for each or for none; got {len(scales)} "
            f"scales and {len(steps)} steps"
        )
    return Announcement(table, scales, steps, header.levels, header.cells)


def compressed_sums(people: People, header: CompressedTask, asked: Announcement) -> Sums:
    """What this cell's people add to the round: all who can train, of whom no run is taken up with too few."""
    loss = header.loss
    update = streamed_update(
        asked.vectors,
        Chosen(people.train, people.clients),
        loss.fold_in,
        activity_exponent=loss.activity_exponent,
        bound=loss.bound,
    )
    return of_update(compressed(update, asked, loss.fold_in))
