"""A cell that is killed in the middle of drawing noise."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np

from feature_store.arrays import Float64Array
from tests.training.federation.private_cells import PARTS, RUN_ID, SPLIT, private_cells
from training.federation.tasks import PopulationTask, PrivateTask, TaskMessage
from training.federation.wire import item_ids_to_array


def dies(numbers: int) -> Float64Array:
    os.kill(os.getpid(), signal.SIGKILL)
    return np.zeros(numbers)


if __name__ == "__main__":
    cell = private_cells(Path(sys.argv[1]), dict.fromkeys(PARTS, dies)).cells["cell-a"]
    begin = PopulationTask(run_id=RUN_ID, held_out=0.0, private=True)
    asyncio.run(cell.sums(TaskMessage(begin, {"item_ids": item_ids_to_array(SPLIT.vocabulary)})))
    nothing = {"popularity": np.empty(0, np.float32), "directions": np.empty((0, 0), np.float32)}
    task = PrivateTask(run_id=RUN_ID, items=40, population=300, deviation=3.0, noise_cells=1, left=2.0)
    asyncio.run(cell.sums(TaskMessage(task, nothing)))
