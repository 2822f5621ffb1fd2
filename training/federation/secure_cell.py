"""A cell's side of secure aggregation: what it gives to the server is under masks, and a task in the clear is refused.

The server proposes rounds by their terms, one or several at once: making keys and sharing them needs no task, so rounds
are prepared ahead. The task comes with the shares of its round. The cell looks whether the round's terms are those that
this task has, computes its sums, and goes on; the round of the task before it is then over. What a killed process had
of its rounds is gone, and the cell has dropped out of them.
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from feature_store.arrays import Float64Array
from feature_store.errors import HearthError
from training.federation.errors import BadMessage, Refused
from training.federation.fixed_sums import layout_of, to_values
from training.federation.forms import form_of
from training.federation.given_updates import GivenUpdates, digest_of
from training.federation.parcel import MAGIC, Parcel
from training.federation.refusal import refusal_of
from training.federation.sums import Sums
from training.federation.tasks import TaskMessage
from training.federation.wire import task_from_bytes
from training.secure_aggregation import wire
from training.secure_aggregation.client_round import ClientRound
from training.secure_aggregation.node_keys import NodeKey, NodePublicKey
from training.secure_aggregation.server_messages import Survivors
from training.secure_aggregation.terms import Terms, threshold_against_server
from training.secure_aggregation.wire import Kind

_LOG = logging.getLogger("training.federation")
_MOST_ROUNDS = 100_000  # whose ids are remembered
_MOST_PREPARED = 64  # the newest; a server needs a few


class SumsOfTasks(Protocol):
    """What computes: `training.federation.cell.TrainingCell`."""

    async def sums(self, task: TaskMessage, together: int) -> Sums:
        """What a task asks for; together: in a sum with those of so many cells at the least, none of which tells."""
        ...


class Identity(NamedTuple):
    """Who a cell is among the others.

    name: of its SuperNode.
    node_key: its private key.
    pinned: public keys of those it adds up with, by name, its own included; they came by a way that is not the server.
    colluding: how many of them may help a server that lies; terms have a threshold that holds against those.
    """

    name: str
    node_key: NodeKey
    pinned: Mapping[str, NodePublicKey]
    colluding: int = 0


@dataclass(slots=True, eq=False)
class _Live:
    """A round that goes on.

    values: what is added; empty until the task has come, `task`.
    update: digest of the sums; None where they are counts of people alone.
    """

    terms: Terms
    round: ClientRound
    values: dict[str, Float64Array]
    task: bytes = b""
    update: str | None = None


class SecureCell:
    """One cell that adds up with others under masks.

    cell: computes its sums.
    identity: see there.
    folder: what outlives the process: which sums its updates went into.
    """

    def __init__(self, cell: SumsOfTasks, identity: Identity, folder: Path) -> None:
        self._cell, self._identity = cell, identity
        self._given = GivenUpdates(folder / "given-updates.json")
        self._seen = deque[str](maxlen=_MOST_ROUNDS)
        self._live: dict[bytes, _Live] = {}  # by the digest of the terms
        self._proposal, self._advertised = b"", b""  # the last one, and the reply to it

    async def answer(self, content: bytes) -> bytes:
        """The reply to a parcel, both as messages; what is wrong with one is a refusal."""
        try:
            if content[: len(MAGIC)] != MAGIC:
                raise Refused("this cell gives its sums under masks alone; a task came in the clear")
            parcel = Parcel.from_bytes(content)
            if wire.kind_of(parcel.messages[0]) == Kind.TERMS:
                return self._propose(content, parcel)
            return Parcel(tuple([await self._next(message, parcel.task) for message in parcel.messages])).to_bytes()
        except HearthError as error:
            return refusal_of(error)

    def _propose(self, content: bytes, parcel: Parcel) -> bytes:
        """Enter the rounds of these terms; the same proposal again gets the same reply."""
        if content == self._proposal:
            return self._advertised
        live, replies = dict[bytes, _Live](), []
        for message in parcel.messages:
            terms, values = Terms.from_bytes(message), dict[str, Float64Array]()
            round_ = ClientRound(
                self._identity.name,
                self._identity.node_key,
                self._identity.pinned,
                partial(_given_to, values),
                self._require_acceptable,
            )
            replies.append(round_.answer(message))
            self._seen.append(terms.round_id)
            live[terms.digest] = _Live(terms, round_, values)
        self._live = dict([*self._live.items(), *live.items()][-_MOST_PREPARED:])
        self._proposal, self._advertised = content, Parcel(tuple(replies)).to_bytes()
        return self._advertised

    def _require_acceptable(self, terms: Terms) -> None:
        """Raise `Refused` for terms that would show more than a sum.

        That the threshold is above half of the cohort, `Terms` sees to itself.
        """
        me, pinned, cohort = self._identity.name, self._identity.pinned, terms.cohort
        if terms.round_id in self._seen:
            raise Refused(f"round {terms.round_id} was proposed before; the id of a round is used once")
        if strangers := [name for name in cohort if name not in pinned]:
            raise Refused(f"{me} has no key pinned of {', '.join(strangers)}")
        if me not in cohort:
            raise Refused(f"round {terms.round_id} is of {', '.join(cohort)}, and this cell is {me}")
        if terms.threshold < (least := threshold_against_server(len(cohort), self._identity.colluding)):
            raise Refused(f"a threshold of {least} of {len(cohort)} cells is due; the terms have {terms.threshold}")

    async def _next(self, message: bytes, task: bytes) -> bytes:
        """The reply to a stage after the first."""
        kind = wire.kind_of(message)
        live = self._live.get(message[5 : 5 + wire.DIGEST_BYTES])
        if live is None:
            raise Refused("this cell is in no round of these terms: it is over, or the cell was started again since")
        if kind == Kind.DELIVERY:
            await self._compute(live, task)
            with self._written_down(live):
                if live.update is not None:
                    self._given.reserve(live.update, live.terms.cohort)  # before the masked sums leave
        reply = live.round.answer(message)
        if kind == Kind.SURVIVORS and live.update is not None:
            survivors = [live.terms.cohort[client] for client in Survivors.from_bytes(message).clients]
            with self._written_down(live):
                self._given.give(live.update, survivors)  # before the signature leaves
        return reply

    @contextmanager
    def _written_down(self, live: _Live) -> Iterator[None]:
        """Whatever goes wrong in here ends the round: nothing of it is then sent, or uncovered, with this cell's help.

        Raises:
            Refused: for an error of the disk as well, which the cell's own log names.
        """
        try:
            yield
        except OSError as error:
            _LOG.error("what this cell gives cannot be written down: %s", error)
            self._live.pop(live.terms.digest, None)
            raise Refused("this cell cannot write down what it gives; its own log says more") from error
        except BaseException:
            self._live.pop(live.terms.digest, None)
            raise

    async def _compute(self, live: _Live, content: bytes) -> None:
        """Compute what the round adds up; a round has one task."""
        if live.task:
            if live.task != content:
                raise Refused(f"round {live.terms.round_id} has its task; another one came")
            return
        task, terms = task_from_bytes(content), live.terms
        form = form_of(task)
        if terms.layout != (due := layout_of(form, len(terms.cohort))):
            raise Refused(
                f"a {task.header.kind} task has {len(due.fields)} fields of {due.numbers:,} numbers with bounds and "
                f"words that follow from it; the terms have others"
            )
        sums = await self._cell.sums(task, terms.threshold - self._identity.colluding)
        try:
            sums.require(form)
        except BadMessage as error:
            _LOG.warning("sums are not of their form: %s", error)  # with a number that stays here
            raise Refused("the sums are not within the bounds of their task; the cell's own log says more") from error
        self._live = {digest: one for digest, one in self._live.items() if not one.task}
        live.values |= to_values(sums, form, len(terms.cohort))
        live.task, live.update = content, digest_of(sums) if form.shapes else None


def _given_to(values: dict[str, Float64Array], _terms: Terms) -> dict[str, Float64Array]:
    return values
