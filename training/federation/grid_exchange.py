"""The exchange over Flower: push messages, pull their replies, until all are there or the deadline has passed.

A SuperNode's name is the cell's. Flower's own `send_and_receive` looks every three seconds; this looks more often, and
a reply that comes after the deadline is left where it is: its message has expired, and Flower drops it.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from training.federation.exchange import Answers
from training.federation.flower_record import content_of, record_of

_LOOK_SECONDS = 0.2


class GridExchange(NamedTuple):
    """The cells of one Flower run.

    grid: Flower's.
    deadline_seconds: for an answer.
    """

    grid: Grid
    deadline_seconds: float

    def cells(self) -> tuple[str, ...]:
        """See `Exchange.cells`."""
        return tuple(sorted(self._nodes()))

    def gather(self, cells: int, patience_seconds: float) -> tuple[str, ...]:
        """Wait until so many cells are there, or for as long as that; those that are there then."""
        until = time.monotonic() + patience_seconds
        while len(there := self.cells()) < cells and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        return there

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        """See `Exchange.ask`."""
        nodes = self._nodes()
        failures = {cell: "it is not there" for cell in messages if cell not in nodes}
        sent = {cell: content for cell, content in messages.items() if cell in nodes}
        pushed = self.grid.push_messages(
            [
                Message(record_of(content), nodes[cell], "train", ttl=self.deadline_seconds, group_id=about)
                for cell, content in sent.items()
            ]
        )
        waiting = dict(zip(pushed, sent, strict=True))
        replies = dict[str, bytes]()
        until = time.monotonic() + self.deadline_seconds
        while waiting and time.monotonic() < until:
            for reply in self.grid.pull_messages(list(waiting)):
                cell = waiting.pop(reply.metadata.reply_to_message_id, None)
                if cell is None:
                    continue
                if reply.has_error():
                    failures[cell] = reply.error.reason or f"error {reply.error.code}"
                else:
                    replies[cell] = content_of(reply.content)
            if waiting:
                time.sleep(_LOOK_SECONDS)
        late = f"no answer within {self.deadline_seconds:g} seconds"
        return Answers(replies, failures | dict.fromkeys(waiting.values(), late))

    def _nodes(self) -> dict[str, int]:
        """Numbers of the SuperNodes that are online, by the names of their cells."""
        return {node.name or str(node.node_id): node.node_id for node in self.grid.get_nodes()}
