"""A client's round as a transport drives it: each stage is answered once, a repeated request with the same bytes."""

from collections.abc import Mapping

import numpy as np
import pytest

from feature_store.errors import BadInput
from tests.training.secure_aggregation.rounds import LAYOUT, World, random_values, world
from training.secure_aggregation.client_messages import Unmasking
from training.secure_aggregation.client_round import ClientRound
from training.secure_aggregation.errors import (
    AlreadyAnswered,
    MalformedMessage,
    OutOfRange,
    TooFewClients,
    WrongClients,
    WrongRound,
)
from training.secure_aggregation.fixed_point import Field, Layout, step
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.server_messages import Survivors
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.uncovering import SecureSum

OF = world(4, 3)
VALUES = random_values(LAYOUT, 1)


def until(stage: int, of: World = OF) -> tuple[dict[str, ClientRound], ServerState, Mapping[str, bytes]]:
    """A round in which so many requests have been answered by all, and the requests that are next."""
    clients = {name: of.client(name, VALUES) for name in of.terms.cohort}
    state: ServerState | SecureSum
    state, requests = begin(of.terms, of.pinned)
    for _ in range(stage):
        for name, request in requests.items():
            state = accept(state, name, clients[name].answer(request))
        state, requests = close(state)
    assert not isinstance(state, SecureSum)
    return clients, state, requests


@pytest.mark.parametrize("stage", range(5))
def test_a_request_that_comes_again_gets_the_same_bytes_again(stage: int) -> None:
    clients, state, requests = until(stage)
    one = clients["cell-1"]
    reply = one.answer(requests["cell-1"])
    assert one.answer(requests["cell-1"]) == reply
    for name in ("cell-0", "cell-2", "cell-1", "cell-3"):
        state = accept(state, name, clients[name].answer(requests[name]))
    close(state)
    assert one.answer(requests["cell-1"]) == reply


def test_a_second_set_of_survivors_is_refused_before_and_after_uncovering_one() -> None:
    clients, state, requests = until(3)
    one = clients["cell-1"]
    other = Survivors(OF.terms.digest, (0, 1, 2)).to_bytes()
    for name, request in requests.items():
        state = accept(state, name, clients[name].answer(request))
    with pytest.raises(AlreadyAnswered, match="cell-1 has answered another request of kind survivors in this round"):
        one.answer(other)
    _, requests = close(state)
    assert len(Unmasking.from_bytes(one.answer(requests["cell-1"])).own_masks) == 4
    with pytest.raises(AlreadyAnswered, match="of kind survivors"):
        one.answer(other)
    with pytest.raises(AlreadyAnswered, match="of kind agreements"):
        one.answer(requests["cell-1"][:-1] + bytes([requests["cell-1"][-1] ^ 1]))


def test_no_second_input_is_masked() -> None:
    """With two deliveries for the same values a server would see the masks of a pair."""
    clients, _, requests = until(2)
    clients["cell-0"].answer(requests["cell-0"])
    with pytest.raises(AlreadyAnswered, match="of kind delivery"):
        clients["cell-0"].answer(requests["cell-1"])


def test_stages_are_answered_in_their_order() -> None:
    clients, _, requests = until(3)
    fresh = OF.client("cell-0", VALUES)
    with pytest.raises(WrongRound, match="cell-0 got a request of kind survivors; due is terms"):
        fresh.answer(requests["cell-0"])
    with pytest.raises(AlreadyAnswered, match="of kind terms"):
        clients["cell-0"].answer(world(4, 4).terms.to_bytes())
    with pytest.raises(WrongRound, match="kind masked input; due is survivors"):
        clients["cell-0"].answer(b"HSA\x01\x05")
    with pytest.raises(MalformedMessage):
        clients["cell-0"].answer(b"")


def test_a_refusal_leaves_the_round_as_it_was() -> None:
    clients, state, requests = until(3)
    with pytest.raises(TooFewClients):
        clients["cell-1"].answer(Survivors(OF.terms.digest, (0, 1)).to_bytes())
    with pytest.raises(WrongClients):
        clients["cell-1"].answer(Survivors(OF.terms.digest, (0, 2, 3)).to_bytes())
    for name, request in requests.items():
        state = accept(state, name, clients[name].answer(request))
    assert len(state.received) == 4


def test_a_client_that_has_done_its_part_answers_nothing_new() -> None:
    clients, _, requests = until(4)
    one = clients["cell-1"]
    one.answer(requests["cell-1"])
    with pytest.raises(WrongRound, match="due is nothing more"):
        one.answer(b"HSA\x01\x09")


def test_terms_that_are_not_acceptable_are_answered_with_nothing() -> None:
    def only_small_bounds(terms: Terms) -> None:
        if any(field.bound > 10 for field in terms.layout.fields):
            raise BadInput("bounds are 10 at most here")

    one = ClientRound("cell-0", OF.node_keys["cell-0"], OF.pinned, lambda _: VALUES, only_small_bounds)
    with pytest.raises(BadInput, match="bounds are 10 at most here"):
        one.answer(OF.terms.to_bytes())


def test_values_out_of_range_leave_the_client_out_and_the_round_goes_on() -> None:
    clients, state, requests = until(2)
    wild = dict(VALUES) | {"gradient": np.full((3, 2), 1.5, np.float32)}
    clients["cell-0"]._values = lambda _: wild
    with pytest.raises(OutOfRange, match=r"field gradient holds numbers between -1 and 1; number 0 of 6 is 1.5"):
        clients["cell-0"].answer(requests["cell-0"])
    for _ in range(3):
        for name, request in requests.items():
            if name != "cell-0":
                state = accept(state, name, clients[name].answer(request))
        state, requests = close(state)
    assert isinstance(state, SecureSum)
    assert state.clients == ("cell-1", "cell-2", "cell-3")
    assert state.sums["counts"].tolist() == (3 * VALUES["counts"]).tolist()


def test_rounding_at_random_differs_between_clients_with_the_same_values() -> None:
    layout = Layout((Field("gradient", (200,), 1.0),), 16)
    of = world(4, 3, layout)
    values = random_values(layout, 1)
    size = step(layout.fields[0], 16, 4)
    sums = []
    for stochastic in (False, True):
        clients = {
            name: ClientRound(name, key, of.pinned, lambda _: values, lambda _: None, stochastic=stochastic)
            for name, key in of.node_keys.items()
        }
        state, requests = begin(of.terms, of.pinned)
        for _ in range(5):
            for name, request in requests.items():
                state = accept(state, name, clients[name].answer(request))
            state, requests = close(state)
        assert isinstance(state, SecureSum)
        sums.append(state.sums["gradient"])
    nearest, at_random = (np.rint(one / size).astype(int) for one in sums)
    assert (nearest % 4 == 0).all()  # all four rounded the same way
    assert (at_random % 4 != 0).sum() > 50  # of 200 numbers; four of the same rounding are rare
    assert np.abs(sums[1] - 4 * values["gradient"].astype(float)).max() < 4 * size


def test_a_client_shows_no_secret_when_it_is_printed() -> None:
    clients, _, _ = until(1)
    state = clients["cell-0"]._state
    assert repr(state) == "Advertised(round round 1, cell-0, secrets not shown)"
    clients, _, _ = until(4)
    assert "seed" not in repr(clients["cell-0"]._state)
