"""Draws: who of a cell is in a round, by a secret of the cell.

The server announces the seed of a run's cohorts. By that alone whoever knows which people a cell has could tell who is
in which sum, and a server that lies could choose sizes until two sums differ by one person. So a cell draws by a secret
of its own besides, and otherwise in each run: cohorts of two runs have nothing to do with each other.
"""

import hmac
import secrets
from pathlib import Path

from feature_store.durable import create
from feature_store.errors import BadInput
from training.federation.tasks import RoundTask

_BYTES = 32


def own_secret(file: Path) -> bytes:
    """The cell's secret in that file, made where there is none.

    Raises:
        BadInput: the file holds something else.
    """
    if not file.exists():
        create(file, secrets.token_bytes(_BYTES), 0o600)
    secret = file.read_bytes()
    if len(secret) != _BYTES:
        raise BadInput(f"{file} is to hold {_BYTES} bytes; it has {len(secret)}. Remove it, and another is made")
    return secret


def own_seed(secret: bytes | None, task: RoundTask) -> int:
    """The seed of a round's draw; None for no secret: the announced one, as a simulation draws."""
    if secret is None:
        return task.seed
    return int.from_bytes(hmac.digest(secret, f"{task.run_id} {task.seed}".encode(), "sha256")[:8])
