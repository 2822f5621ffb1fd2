"""A process that spends and spends, and says so after each entry; or dies in the middle of drawing noise."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from training.client_update import ClientUpdate
from training.privacy.ledger import Budget, Entry, FileLedger
from training.privacy.release import COUNTS, Plan, Releases, noised


def spend_on(path: Path) -> None:
    ledger = FileLedger(path)
    while True:
        ledger.spend(Entry(released="counts", cost=1e-6), Budget(epsilon=50, delta=1e-5))
        sys.stdout.write("spent\n")
        sys.stdout.flush()


def die_drawing(path: Path) -> None:
    def noise(numbers: int) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(numbers)

    plan = Plan({COUNTS: 0.25}, items=2)
    update = ClientUpdate({COUNTS: np.ones(3, np.float32)}, 0.0, 1)
    noised(plan, 1, Budget(epsilon=8, delta=1e-5), Releases(FileLedger(path), noise)).aggregate([update])


if __name__ == "__main__":
    {"spend_on": spend_on, "die_drawing": die_drawing}[sys.argv[1]](Path(sys.argv[2]))
