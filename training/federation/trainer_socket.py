"""The way to a cell's trainer: one request over its Unix socket, with nothing but the standard library.

    python -m training.federation.trainer_socket SOCKET

ends with 0 where a trainer answers on that socket, and with 1 where none does.
"""

import http.client
import socket
import sys
from pathlib import Path

from training.federation.errors import TrainerUnavailable

MEDIA_TYPE = "application/vnd.hearth.task"
LONGEST_PATH = 100  # bytes; the system's limit for a Unix socket is 107


def ask_trainer(path: Path, content: bytes, seconds: float | None = None) -> bytes:
    """The trainer's reply to a task, both as messages.

    seconds: to wait at each step; None waits for as long as it takes.

    Raises:
        TrainerUnavailable: nobody listens there, or the trainer ended while it computed.
    """
    status, reply = _request(path, "POST", "/task", content, seconds)
    if status != http.client.OK:
        raise TrainerUnavailable(f"the trainer answered with status {status}")
    return reply


def is_ready(path: Path, seconds: float = 2.0) -> bool:
    """Whether a trainer listens there."""
    try:
        return _request(path, "GET", "/health", b"", seconds)[0] == http.client.OK
    except TrainerUnavailable:
        return False


def _request(path: Path, method: str, target: str, content: bytes, seconds: float | None) -> tuple[int, bytes]:
    connection = _UnixConnection("trainer", timeout=seconds)
    connection.path = path
    try:
        connection.request(method, target, content, {"content-type": MEDIA_TYPE})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise TrainerUnavailable(f"the trainer does not answer: {type(error).__name__}") from error
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    path: Path

    def connect(self) -> None:
        """Connect to the socket of that path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


if __name__ == "__main__":
    sys.exit(0 if len(sys.argv) == 2 and is_ready(Path(sys.argv[1])) else 1)
