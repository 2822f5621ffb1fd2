"""Recording proxies: each stands at a trainer's socket, between it and whoever asks, and keeps every byte both ways.

What a cell's ClientApp gets from Flower and gives to it is what passes here, in the clear: between machines it is in
TLS. A test can step in at the moment at which a trainer has got a message, or has answered it.
"""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from training.federation.parcel import MAGIC, Parcel
from training.federation.secure_adding import STAGES
from training.federation.tasks import TaskMessage
from training.federation.wire import task_from_bytes
from training.secure_aggregation import wire
from training.secure_aggregation.wire import Kind

Moment: TypeAlias = Literal["asked", "answered"]
CLEAR = "in the clear"
_STAGES = {
    Kind.TERMS: STAGES[0],
    Kind.ROSTER: STAGES[1],
    Kind.DELIVERY: STAGES[2],
    Kind.SURVIVORS: STAGES[3],
    Kind.AGREEMENTS: STAGES[4],
}
_CHUNK = 1 << 16


class Passed(NamedTuple):
    """A request, and the reply to it, as they were on the socket; both with their HTTP heads.

    stage: of `STAGES`, or `CLEAR`. kind: of the task that it is about; empty where none is there yet.
    reply: empty where none came.
    """

    cell: str
    stage: str
    kind: str
    request: bytes
    reply: bytes = b""

    @property
    def task(self) -> TaskMessage | None:
        """The task that came along."""
        content = body(self.request)
        task = Parcel.from_bytes(content).task if content.startswith(MAGIC) else content
        return task_from_bytes(task) if task else None

    @property
    def answered(self) -> tuple[bytes, ...]:
        """The messages of rounds that the cell sent; none where it refused."""
        content = body(self.reply)
        return Parcel.from_bytes(content).messages if content.startswith(MAGIC) else ()


StepIn: TypeAlias = Callable[[Moment, Passed], bool]


class TrainerProxies:
    """Those of some cells.

    passed: all that went by, the health of a trainer apart, in the order of the replies.
    step_in: called in the proxy's thread, when the trainer has a message, and when its answer is here and has not gone
        on yet; true cuts the connection.
    """

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self.step_in: StepIn = lambda _moment, _passed: False
        self.faults: list[BaseException] = []
        self._kinds: dict[str, str] = {}

    def seen(self) -> list[bytes]:
        """Every byte, a message at a time."""
        return [content for one in self.passed for content in (one.request, one.reply)]

    def pass_on(self, cell: str, trainer: Path, asking: socket.socket) -> None:
        """One request to the trainer at that socket, and its reply."""
        request = _http_message(asking)
        if not request:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as answering:
            try:
                answering.connect(str(trainer))
            except (FileNotFoundError, ConnectionRefusedError):  # no trainer is there
                return
            answering.sendall(request)
            if request.startswith(b"GET "):
                asking.sendall(_http_message(answering))
                return
            passed = self._understood(cell, request)
            is_cut = self.step_in("asked", passed)
            reply = b"" if is_cut else _http_message(answering)
            passed = passed._replace(reply=reply)
            self.passed.append(passed)
            if reply and not self.step_in("answered", passed):
                asking.sendall(reply)

    def _understood(self, cell: str, request: bytes) -> Passed:
        content = body(request)
        if not content.startswith(MAGIC):
            return Passed(cell, CLEAR, task_from_bytes(content).header.kind, request)
        parcel = Parcel.from_bytes(content)
        kind = wire.kind_of(parcel.messages[0])
        if kind == Kind.DELIVERY:
            self._kinds[cell] = task_from_bytes(parcel.task).header.kind
        is_prepared = kind in {Kind.TERMS, Kind.ROSTER}  # ahead of any task
        return Passed(cell, _STAGES[kind], "" if is_prepared else self._kinds[cell], request)


@contextmanager
def trainer_proxies(places: Mapping[str, tuple[Path, Path]]) -> Iterator[TrainerProxies]:
    """Proxies for the length of the block; places: by cell, where it is asked, and where its trainer listens."""
    proxies = TrainerProxies()
    with ExitStack() as running:
        for cell, (front, trainer) in places.items():
            running.enter_context(_listening(proxies, cell, front, trainer))
        yield proxies
    for fault in proxies.faults:
        raise fault


@contextmanager
def _listening(proxies: TrainerProxies, cell: str, front: Path, trainer: Path) -> Iterator[None]:
    class OneRequest(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # one of the two sides was killed
                proxies.pass_on(cell, trainer, self.request)

    class Listening(socketserver.ThreadingUnixStreamServer):
        request_queue_size = 32

        def handle_error(self, request: Any, client_address: Any) -> None:
            error = sys.exception()
            assert error is not None
            proxies.faults.append(error)

    with Listening(str(front), OneRequest) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
    front.unlink()


def body(message: bytes) -> bytes:
    """What stands behind the HTTP head."""
    return message.partition(b"\r\n\r\n")[2]


def _http_message(source: socket.socket) -> bytes:
    """One request or reply whose head says how long it is; empty where the other side has gone before its end."""
    content = bytearray()
    while b"\r\n\r\n" not in content:
        if not (chunk := source.recv(_CHUNK)):
            return b""
        content += chunk
    head, _, rest = bytes(content).partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = (int(lengths[0]) if lengths else 0) - len(rest)
    while left > 0:
        if not (chunk := source.recv(_CHUNK)):
            return b""
        content += chunk
        left -= len(chunk)
    return bytes(content)
