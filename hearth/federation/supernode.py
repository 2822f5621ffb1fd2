"""The SuperNode as Flower has it, but that it looks for messages every fifth of a second.

    python -m hearth.federation.supernode ARGUMENTS      those of flower-supernode

Flower's own sleeps for three seconds whenever no message is there, and for half a second between two looks for the
reply. A round under masks is three exchanges, and each would wait for most of that. There is no option for it, so the
clock of the one module that does so is replaced here; `flwr` is pinned to 1.41, and a test holds it to this.
"""

import time
from types import SimpleNamespace

from flwr.supernode import start_client_internal
from flwr.supernode.cli.flower_supernode import flower_supernode

LONGEST_NAP = 0.2  # seconds


def nap(seconds: float) -> None:
    """Sleep for so long, but no longer than `LONGEST_NAP`."""
    time.sleep(min(seconds, LONGEST_NAP))


def look_often() -> None:
    """Let this process's SuperNode nap for no longer than `LONGEST_NAP`."""
    vars(start_client_internal)["time"] = SimpleNamespace(sleep=nap)  # all that it takes of `time`


if __name__ == "__main__":
    look_often()
    flower_supernode()
