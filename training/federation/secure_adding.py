"""Adding under masks: the server comes by the total over the cells, and by nothing of any one of them.

Rounds of `training.secure_aggregation` over an exchange. Of the five stages the first two, keys and shares, need no
task: they are done for several rounds at once, ahead, so that over a run a round takes three exchanges. A cell that
does not answer a stage, or answers with what is none, is left out of those that follow; its failure is told, and the
round goes on down to the threshold.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from training.federation.adding import Total, require_quorum
from training.federation.errors import BadMessage, TooFewCells
from training.federation.exchange import Exchange
from training.federation.fixed_sums import layout_of, of_values
from training.federation.parcel import MAGIC, Parcel
from training.federation.plausible import require_plausible
from training.federation.sums import Form, Sums
from training.federation.tasks import RefusalHeader, TaskMessage
from training.federation.wire import reply_from_bytes, task_to_bytes
from training.secure_aggregation.errors import SecureAggregationError
from training.secure_aggregation.fixed_point import Layout
from training.secure_aggregation.node_keys import NodePublicKey
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.server_states import Agreeing, Uncovering
from training.secure_aggregation.terms import LEAST_CLIENTS, MOST_CLIENTS, Terms, threshold_against_server
from training.secure_aggregation.uncovering import SecureSum

STAGES = ("keys", "shares", "masked sums", "agreement", "unmasking")
AHEAD = 16
"""Rounds prepared at once, where more than one is to come."""
_MOST_KINDS = 3  # of tasks and cells that rounds are kept ready for


class _Stage(NamedTuple):
    """A round between two stages. requests: what is to be sent next, by cell."""

    state: ServerState
    requests: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Securely:
    """An `Adding` that shows the total alone. It keeps what it has prepared: one is for one run, and one thread.

    pinned: the public node keys of the federation's cells, by name.
    colluding: how many cells may help a server that lies; see `threshold_against_server`.
    ahead: rounds to prepare at once.
    """

    pinned: Mapping[str, NodePublicKey]
    colluding: int = 0
    ahead: int = AHEAD
    _prepared: dict[tuple[Layout, tuple[str, ...]], list[_Stage]] = field(default_factory=dict)
    _seen: set[Layout] = field(default_factory=set)

    def __call__(
        self, exchange: Exchange, cells: Sequence[str], task: TaskMessage, form: Form, quorum: int, about: str
    ) -> Total:
        """See `Adding`. The quorum is the threshold, where that is more."""
        cohort = self._cohort(cells)
        if len(cohort) < LEAST_CLIENTS:
            raise TooFewCells(
                f"{about}: masks hide the sums of {LEAST_CLIENTS} cells or more from each other and from the server; "
                f"keys are pinned of {', '.join(cohort) or 'none'} here"
            )
        asked = tuple(name for name in cells if name in cohort)
        threshold = threshold_against_server(len(cohort), self.colluding)
        talk = _Talk(exchange, about, max(quorum, threshold))
        talk.failures |= {name: "its node key is not pinned here" for name in cells if name not in cohort}
        key = (layout_of(form, len(cohort)), asked)
        ready = self._prepared.get(key, [])
        if not ready:
            if len(self._prepared) >= _MOST_KINDS:
                self._prepared.clear()  # cells keep the newest alone
            comes_again = task.header.kind == "round" or key[0] in self._seen
            self._seen.add(key[0])
            count = self.ahead if comes_again else 1
            terms = [Terms(secrets.token_hex(16), cohort, threshold, key[0]) for _ in range(count)]
            ready = self._prepared[key] = talk.prepared(terms, self.pinned, asked)
        try:
            total = talk.summed(ready.pop(0), task_to_bytes(task), form)
        except (TooFewCells, BadMessage):
            self._prepared.clear()
            raise
        if talk.failures:  # such as of a cell that was started again, and is in none of these rounds
            self._prepared.clear()
        return total

    def _cohort(self, cells: Sequence[str]) -> tuple[str, ...]:
        """Who is asked; filled up from those who are away, who then have dropped out, where fewer than three are."""
        known = [name for name in cells if name in self.pinned]
        away = [name for name in sorted(self.pinned) if name not in known]
        return tuple(sorted([*known, *away[: max(0, LEAST_CLIENTS - len(known))]])[:MOST_CLIENTS])


@dataclass(slots=True)
class _Talk:
    """What is said to cells for one total.

    failures: why cells are left out, by cell. downlink, uplink: bytes so far.
    """

    exchange: Exchange
    about: str
    quorum: int
    failures: dict[str, str] = field(default_factory=dict)
    downlink: int = 0
    uplink: int = 0

    def prepared(
        self, terms: Sequence[Terms], pinned: Mapping[str, NodePublicKey], asked: Sequence[str]
    ) -> list[_Stage]:
        """Rounds of these terms after the first two stages; whoever misses one is left out of all of them."""
        begun = [begin(each, pinned) for each in terms]
        rounds = [_Stage(state, {name: requests[name] for name in asked}) for state, requests in begun]
        for stage in STAGES[:2]:
            rounds = self._closed(self._exchanged(rounds, stage), stage)
        return rounds

    def summed(self, prepared: _Stage, task: bytes, form: Form) -> Total:
        """The total of one prepared round."""
        cohort, rounds = prepared.state.enrolment.terms.cohort, [prepared]
        for stage in STAGES[2:4]:
            rounds = self._closed(self._exchanged(rounds, stage, task), stage)
            task = b""
        (last,) = self._exchanged(rounds, STAGES[4])
        self._require_enough(last.state, STAGES[4])
        total = self._ended(last.state)
        failures = {
            name: f"after its sums were in: {why}" if name in total.clients else why
            for name, why in self.failures.items()
        }
        sums = _plausible(of_values(total.sums, form, len(cohort)), self.about)
        return Total(sums, total.clients, failures, self.downlink, self.uplink)

    def _exchanged(self, rounds: Sequence[_Stage], stage: str, task: bytes = b"") -> list[_Stage]:
        """The rounds with what cells answer to their requests; whoever fails in one is in none."""
        cells = list(rounds[0].requests)
        parcels = {cell: Parcel(tuple(one.requests[cell] for one in rounds), task).to_bytes() for cell in cells}
        answers = self.exchange.ask(parcels, f"{self.about}: {stage}")
        self.downlink += sum(map(len, parcels.values()))
        self.uplink += sum(map(len, answers.replies.values()))
        self.failures |= answers.failures
        states = [one.state for one in rounds]
        for cell, content in sorted(answers.replies.items()):
            try:
                replies = _replies(content, len(rounds))
                states = [accept(state, cell, reply) for state, reply in zip(states, replies, strict=True)]
            except (BadMessage, SecureAggregationError) as error:
                self.failures[cell] = str(error)
        return [_Stage(state, one.requests) for state, one in zip(states, rounds, strict=True)]

    def _closed(self, rounds: Sequence[_Stage], stage: str) -> list[_Stage]:
        """The rounds before their next stage; raises `TooFewCells`."""
        closed = []
        for one in rounds:
            self._require_enough(one.state, stage)
            state, requests = close(one.state)
            if isinstance(state, SecureSum):
                raise TypeError(f"a round has stages behind {stage}; got its sum")
            closed.append(_Stage(state, requests))
        return closed

    def _require_enough(self, state: ServerState, stage: str) -> None:
        """Raise `TooFewCells`. To uncover a sum that has its quorum, the threshold will do."""
        there = [state.enrolment.name(client) for client in state.received]
        due = state.enrolment.terms.threshold if isinstance(state, Agreeing | Uncovering) else self.quorum
        require_quorum(there, self.failures, due, f"{self.about}, {stage},")

    def _ended(self, state: ServerState) -> SecureSum:
        try:
            total, _ = close(state)
        except SecureAggregationError as error:  # shares that give another secret: who of them lied stays open
            raise TooFewCells(f"{self.about}, {STAGES[4]}: {error}") from error
        if not isinstance(total, SecureSum):
            raise TypeError(f"a round ends with {STAGES[4]}; got {type(total).__name__}")
        return total


def _replies(content: bytes, count: int) -> tuple[bytes, ...]:
    """The messages of a parcel that came back; raises `BadMessage`, for a refusal with its words."""
    if content[: len(MAGIC)] != MAGIC:
        header = reply_from_bytes(content).header
        said = f"{header.error}: {header.reason}" if isinstance(header, RefusalHeader) else "sums came in the clear"
        raise BadMessage(said)
    parcel = Parcel.from_bytes(content)
    if len(parcel.messages) != count or parcel.task:
        raise BadMessage(f"replies to {count} messages are due; got {len(parcel.messages)}")
    return parcel.messages


def _plausible(total: Sums, about: str) -> Sums:
    """That total; raises `BadMessage` for one that no cells can have that computed as they should."""
    try:
        require_plausible(total)
    except BadMessage as error:
        raise BadMessage(f"{about}: {error}. A cell has sent what is no sum, and masks hide which") from error
    return total
