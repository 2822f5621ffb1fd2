"""Adding: from a task to the sum over the cells that answered it. The one place where cells' sums are added.

`plainly` asks each cell for its sum and adds them: THE SERVER SEES THE SUM OF EACH CELL. A secure aggregation is
another function of this form, with an exchange for each of its stages, from which the server comes by the total alone.
What it has to agree on beforehand, names and shapes, is the `Form`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from training.federation.errors import BadMessage, TooFewCells
from training.federation.exchange import Exchange
from training.federation.plausible import require_plausible
from training.federation.sums import Form, Sums, added
from training.federation.tasks import SumsHeader, TaskMessage
from training.federation.wire import reply_from_bytes, task_to_bytes


class Total(NamedTuple):
    """The sum over some cells.

    cells: whose sums are in it, ascending.
    failures: why others' are not, in words, by cell; and what went wrong later with a cell whose sums are.
    downlink_bytes, uplink_bytes: sent to all cells asked, and received from them, as the messages are.
    """

    sums: Sums
    cells: tuple[str, ...]
    failures: Mapping[str, str]
    downlink_bytes: int
    uplink_bytes: int


class Adding(Protocol):
    """Brings about the total of what cells answer to a task."""

    def __call__(
        self, exchange: Exchange, cells: Sequence[str], task: TaskMessage, form: Form, quorum: int, about: str
    ) -> Total:
        """The total over those of `cells` that answer in time.

        Raises:
            TooFewCells: fewer than `quorum` did; it names each of the others and why.
        """
        ...


def plainly(exchange: Exchange, cells: Sequence[str], task: TaskMessage, form: Form, quorum: int, about: str) -> Total:
    """See `Adding`. The server sees what it adds."""
    message = task_to_bytes(task)
    answers = exchange.ask(dict.fromkeys(cells, message), about)
    sums, failures = dict[str, Sums](), dict(answers.failures)
    for cell, content in sorted(answers.replies.items()):
        try:
            sums[cell] = _sums(content, task, form)
        except BadMessage as error:
            failures[cell] = str(error)
    require_quorum(sums.keys(), failures, quorum, about)
    uplink = sum(map(len, answers.replies.values()))
    return Total(added(list(sums.values())), tuple(sums), failures, len(message) * len(cells), uplink)


def require_quorum(answered: Iterable[str], failures: Mapping[str, str], quorum: int, about: str) -> None:
    """Raise `TooFewCells` where fewer than `quorum` have answered."""
    names = sorted(answered)
    if len(names) < quorum:
        others = "; ".join(f"{cell}: {why}" for cell, why in sorted(failures.items())) or "no other is there"
        raise TooFewCells(
            f"{about} needs the sums of at least {quorum} cells; {len(names)} gave theirs "
            f"({', '.join(names) or 'none'}). {others}"
        )


def _sums(content: bytes, task: TaskMessage, form: Form) -> Sums:
    """The sums of a reply to that task; raises `BadMessage`, for a refusal as well."""
    reply = reply_from_bytes(content)
    if not isinstance(reply.header, SumsHeader):
        raise BadMessage(f"{reply.header.error}: {reply.header.reason}")
    if reply.header.of != task.header.kind:
        raise BadMessage(f"sums of kind {task.header.kind} are due; got {reply.header.of}")
    sums = Sums(reply.header.numbers, reply.arrays)
    sums.require(form)
    require_plausible(sums)
    return sums
