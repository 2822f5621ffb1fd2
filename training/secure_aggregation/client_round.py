"""One client's part in one round, as a transport sees it: bytes come, bytes go, each stage once.

The five functions of `client` go from value to value, and a value can be used twice. Here the state is held, and gone
when it has been used: no request makes a client mask a second input, sign a second set of survivors or uncover a
second time. A request that comes again, as transports repeat them, gets the same bytes again.
"""

import os
import threading
from collections.abc import Callable, Mapping

from feature_store.arrays import Float32Array, Float64Array
from training.secure_aggregation import client, wire
from training.secure_aggregation.client_states import Advertised, Agreed, Masked, Shared
from training.secure_aggregation.errors import AlreadyAnswered, WrongRound
from training.secure_aggregation.node_keys import NodeKey, NodePublicKey
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.wire import Kind

_REQUESTS = (Kind.TERMS, Kind.ROSTER, Kind.DELIVERY, Kind.SURVIVORS, Kind.AGREEMENTS)


class ClientRound:
    """Answers the requests of one round. A lock makes each answer whole before the next begins.

    me: this client's name.
    node_key: its private node key; see `node_keys`.
    pinned: the public node keys of those who may be in a cohort, its own included.
    values: what to add to the sum, from the round's terms: one array for each field of their layout. Called
        when the others have shared, and again only where that request was refused.
    acceptable: is given the terms before anything is sent, and raises what it likes for terms to refuse.
    stochastic: whether to round at random.
    """

    def __init__(
        self,
        me: str,
        node_key: NodeKey,
        pinned: Mapping[str, NodePublicKey],
        values: Callable[[Terms], Mapping[str, Float32Array | Float64Array]],
        acceptable: Callable[[Terms], None],
        *,
        stochastic: bool = False,
    ) -> None:
        self._me, self._node_key, self._pinned = me, node_key, dict(pinned)
        self._values, self._acceptable, self._stochastic = values, acceptable, stochastic
        self._lock = threading.Lock()
        self._state: Advertised | Shared | Masked | Agreed | None = None
        self._answers: dict[Kind, tuple[bytes, bytes]] = {}  # by kind of request: the request and the reply

    def answer(self, request: bytes) -> bytes:
        """The reply to what the server sent. After an error the round is as it was, and nothing was sent.

        Raises:
            AlreadyAnswered: a request of this stage was answered, and it was another one.
            WrongRound: the stage of the request is not the one that is due.
            MalformedMessage and others: see the functions of `client`.
        """
        with self._lock:
            kind = wire.kind_of(request)
            if kind in self._answers:
                answered, reply = self._answers[kind]
                if answered != request:
                    raise AlreadyAnswered(
                        f"{self._me} has answered another request of kind {kind.words} in this round; it answers one"
                    )
                return reply
            due = [one for one in _REQUESTS if one not in self._answers]
            if not due or kind != due[0]:
                raise WrongRound(
                    f"{self._me} got a request of kind {kind.words}; due is {due[0].words if due else 'nothing more'}"
                )
            reply = self._next(request)
            self._answers[kind] = request, reply
            return reply

    def _next(self, request: bytes) -> bytes:
        """Take the step that is due."""
        match self._state:
            case None:
                terms = Terms.from_bytes(request)
                self._acceptable(terms)
                self._state, reply = client.advertise(terms, self._me, self._node_key, self._pinned, os.urandom(32))
            case Advertised() as state:
                self._state, reply = client.share_keys(state, request)
            case Shared() as state:
                values = self._values(state.advertised.enrolment.terms)
                rounding = list(os.urandom(32)) if self._stochastic else None
                self._state, reply = client.mask_input(state, request, values, rounding)
            case Masked() as state:
                self._state, reply = client.agree(state, request)
            case Agreed() as state:
                reply = client.unmask(state, request)
                self._state = None
        return reply
