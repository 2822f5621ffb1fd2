"""Flower's Grid without Flower: what the ServerApp's own code trains over, in one process."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from training.federation.flower_record import content_of, record_of

Answer: TypeAlias = Callable[[bytes], bytes]


class CellsGrid(Grid):
    """Flower's Grid in this process, right on to cells. silent: whether a task of those bytes gets no answer."""

    def __init__(self, answers: dict[str, Answer], silent: Callable[[bytes], bool] = lambda _: False) -> None:
        self._names, self._answers, self._silent = sorted(answers), answers, silent
        self._replies: dict[str, Message] = {}
        self._pushed = 0
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # as Flower does for a ServerApp

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return range(1, 1 + len(self._names))

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=number, name=name) for number, name in enumerate(self._names, 1)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            self._pushed += 1
            message.metadata.__dict__["_message_id"] = f"message-{self._pushed}"
            pushed.append(message.metadata.message_id)
            content = content_of(message.content)
            if not self._silent(content):
                reply = self._answers[self._names[message.metadata.dst_node_id - 1]](content)
                self._replies[message.metadata.message_id] = Message(record_of(reply), reply_to=message)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(name) for name in list(message_ids) if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise NotImplementedError
