"""A server that lies: what it may ask of a client, the client refuses by name, and it never learns both secrets."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from tests.training.secure_aggregation.rounds import LAYOUT, Talk, World, node_key, random_values, talk, world
from training.secure_aggregation import client
from training.secure_aggregation.agreement import agreed_text
from training.secure_aggregation.client_messages import Advertisement, SealedShares, Unmasking
from training.secure_aggregation.derivation import agree, private_key, public_key
from training.secure_aggregation.errors import (
    MalformedMessage,
    SecureAggregationError,
    TooFewClients,
    WeakKey,
    WrongClients,
    WrongReceiver,
    WrongRound,
    WrongSender,
    WrongShare,
    WrongSignature,
)
from training.secure_aggregation.node_keys import sign
from training.secure_aggregation.roster import signed_text
from training.secure_aggregation.sealed_shares import Envelope, Shares, seal
from training.secure_aggregation.server import accept, begin, close
from training.secure_aggregation.server_messages import Agreements, Delivery, Roster, Survivors
from training.secure_aggregation.server_states import Agreeing

OF = world(5, 4)
VALUES = {name: random_values(LAYOUT, number) for number, name in enumerate(OF.terms.cohort)}
DIGEST = OF.terms.digest


@pytest.fixture(scope="module")
def honest() -> Talk:
    return talk(OF, VALUES)


@pytest.fixture(scope="module")
def other_round() -> Talk:
    """The same clients with the same seeds and values, in another round."""
    return talk(world(5, 4, round_id="round 2"), VALUES)


def roster_of(honest: Talk) -> list[Advertisement]:
    return list(Roster.from_bytes(honest.roster).advertisements)


def share(honest: Talk, advertisements: list[Advertisement]) -> None:
    """Give the first client that roster."""
    client.share_keys(honest.advertised["cell-0"][0], Roster(DIGEST, tuple(advertisements)).to_bytes())


# Stage 1: the roster.


def test_a_swapped_key_is_found_out(honest: Talk) -> None:
    for which in ("seal_key", "mask_key"):
        swapped = roster_of(honest)
        swapped[2] = swapped[2]._replace(**{which: public_key(bytes(32))})
        with pytest.raises(WrongSignature, match="the keys advertised for cell-2 are not signed by the node key"):
            share(honest, swapped)


def test_keys_signed_by_another_node_are_found_out(honest: Talk) -> None:
    swapped = roster_of(honest)
    text = signed_text(DIGEST, 2, public_key(bytes(32)), public_key(bytes([1] * 32)))
    forged = sign(node_key("cell-3"), text)
    swapped[2] = Advertisement(DIGEST, 2, public_key(bytes(32)), public_key(bytes([1] * 32)), forged)
    with pytest.raises(WrongSignature, match="the keys advertised for cell-2"):
        share(honest, swapped)


def test_keys_of_another_client_or_round_are_found_out(honest: Talk, other_round: Talk) -> None:
    moved = roster_of(honest)
    moved[2] = moved[3]._replace(sender=2)
    with pytest.raises(WrongSignature, match="cell-2"):
        share(honest, moved)
    replayed = roster_of(honest)
    replayed[2] = roster_of(other_round)[2]._replace(digest=DIGEST)
    with pytest.raises(WrongSignature, match="cell-2"):
        share(honest, replayed)


def test_a_roster_below_the_threshold_is_refused(honest: Talk) -> None:
    with pytest.raises(
        TooFewClients, match="round round 1 needs 4 clients; on the roster are 3: cell-0, cell-1, cell-2"
    ):
        share(honest, roster_of(honest)[:3])


def test_a_roster_without_the_client_or_with_other_keys_of_it_is_refused(honest: Talk) -> None:
    with pytest.raises(WrongClients, match="the roster does not have cell-0 with the keys that it made"):
        share(honest, roster_of(honest)[1:])
    _, again = client.advertise(OF.terms, "cell-0", OF.node_keys["cell-0"], OF.pinned, bytes(32))
    with pytest.raises(WrongClients, match="the roster does not have cell-0 with the keys that it made"):
        share(honest, [Advertisement.from_bytes(again), *roster_of(honest)[1:]])


def test_a_key_that_stands_there_twice_is_refused(honest: Talk) -> None:
    doubled = roster_of(honest)
    key = doubled[3].mask_key
    signature = sign(node_key("cell-2"), signed_text(DIGEST, 2, doubled[2].seal_key, key))
    doubled[2] = doubled[2]._replace(mask_key=key, signature=signature)
    with pytest.raises(WeakKey, match="cell-2, cell-3 advertise the same key"):
        share(honest, doubled)


def test_a_key_that_agrees_with_everybody_is_refused(honest: Talk) -> None:
    weak = roster_of(honest)
    signature = sign(node_key("cell-2"), signed_text(DIGEST, 2, bytes(32), weak[2].mask_key))
    weak[2] = weak[2]._replace(seal_key=bytes(32), signature=signature)
    with pytest.raises(WeakKey, match="a public key of cell-2 agrees on the same secret with everybody"):
        share(honest, weak)


def test_a_mask_key_that_agrees_with_everybody_is_refused(honest: Talk) -> None:
    """cell-2 is with the server: all it sends is as it should be, but for its mask key."""
    advertisements = roster_of(honest)
    signature = sign(node_key("cell-2"), signed_text(DIGEST, 2, advertisements[2].seal_key, bytes(32)))
    advertisements[2] = advertisements[2]._replace(mask_key=bytes(32), signature=signature)
    roster = Roster(DIGEST, tuple(advertisements)).to_bytes()
    shared, _ = client.share_keys(honest.advertised["cell-0"][0], roster)
    sealed = []
    for number, name in ((1, "cell-1"), (3, "cell-3"), (4, "cell-4")):
        _, message = client.share_keys(honest.advertised[name][0], roster)
        sealed.append((number, dict(SealedShares.from_bytes(message).sealed)[0]))
    seal_key = private_key(honest.advertised["cell-2"][0].secret("seal key"))
    agreed = agree(seal_key, advertisements[0].seal_key, "cell-0")
    shares = seal(Shares(bytes(66), bytes(66)), Envelope(agreed, shared.roster, "cell-2", "cell-0"))
    delivery = Delivery(DIGEST, 0, tuple(sorted([*sealed, (2, shares)])))
    with pytest.raises(WeakKey, match="a public key of cell-2 agrees on the same secret with everybody"):
        client.mask_input(shared, delivery.to_bytes(), VALUES["cell-0"])


def test_a_number_that_is_nobodys_is_refused(honest: Talk) -> None:
    with pytest.raises(WrongSender, match="the cohort has 5 clients; none has number 5"):
        share(honest, [*roster_of(honest), roster_of(honest)[4]._replace(sender=5, seal_key=public_key(bytes(32)))])


# Stage 2: the delivery.


def mask(honest: Talk, delivery: Delivery) -> None:
    client.mask_input(honest.shared["cell-0"][0], delivery.to_bytes(), VALUES["cell-0"])


def delivered(honest: Talk) -> Delivery:
    return Delivery.from_bytes(honest.deliveries["cell-0"])


def test_shares_that_were_touched_do_not_open(honest: Talk) -> None:
    sealed = list(delivered(honest).sealed)
    for place in (0, 70, 147):
        touched = bytearray(sealed[1][1])
        touched[place] ^= 1
        with pytest.raises(WrongShare, match="shares are not as cell-2 sealed them for cell-0"):
            mask(honest, delivered(honest)._replace(sealed=(sealed[0], (2, bytes(touched)), *sealed[2:])))


def test_shares_for_another_receiver_of_another_sender_or_round_do_not_open(honest: Talk, other_round: Talk) -> None:
    sealed = list(delivered(honest).sealed)
    for_another = dict(SealedShares.from_bytes(honest.shared["cell-2"][1]).sealed)[1]
    with pytest.raises(WrongShare, match="as cell-2 sealed"):
        mask(honest, delivered(honest)._replace(sealed=(sealed[0], (2, for_another), *sealed[2:])))
    with pytest.raises(WrongShare, match="as cell-1 sealed"):
        mask(honest, delivered(honest)._replace(sealed=((1, sealed[1][1]), (2, sealed[0][1]), *sealed[2:])))
    with pytest.raises(WrongShare, match="as cell-1 sealed"):
        mask(honest, Delivery.from_bytes(other_round.deliveries["cell-0"])._replace(digest=DIGEST))
    with pytest.raises(WrongReceiver, match="shares for cell-1 were delivered to cell-0"):
        mask(honest, Delivery.from_bytes(honest.deliveries["cell-1"]))


def test_shares_of_who_is_not_on_the_roster_are_refused(honest: Talk) -> None:
    without = [one for one in roster_of(honest) if one.sender != 2]
    shared, _ = client.share_keys(honest.advertised["cell-0"][0], Roster(DIGEST, tuple(without)).to_bytes())
    with pytest.raises(WrongClients, match="shares came from cell-2, not among the others on the roster"):
        client.mask_input(shared, honest.deliveries["cell-0"], VALUES["cell-0"])
    with pytest.raises(WrongClients, match="shares came from cell-0, not among"):
        mask(honest, delivered(honest)._replace(sealed=((0, bytes(148)), *delivered(honest).sealed)))


def test_a_delivery_below_the_threshold_is_refused(honest: Talk) -> None:
    with pytest.raises(TooFewClients, match="needs 4 clients; those who shared are 3: cell-0, cell-1, cell-2"):
        mask(honest, delivered(honest)._replace(sealed=delivered(honest).sealed[:2]))


# Stage 3: the survivors, and who agreed.


def survivors(clients: tuple[int, ...]) -> bytes:
    return Survivors(DIGEST, clients).to_bytes()


def test_survivors_are_some_of_those_who_shared(honest: Talk) -> None:
    three = delivered(honest)._replace(sealed=delivered(honest).sealed[:3])
    masked, _ = client.mask_input(honest.shared["cell-0"][0], three.to_bytes(), VALUES["cell-0"])
    with pytest.raises(WrongClients, match="cell-4 cannot be in the sum: no shares of theirs were delivered"):
        client.agree(masked, survivors((0, 1, 2, 3, 4)))
    client.agree(masked, survivors((0, 1, 2, 3)))


def test_survivors_below_the_threshold_or_without_the_client_are_refused(honest: Talk) -> None:
    masked = honest.masked["cell-0"][0]
    with pytest.raises(TooFewClients, match="in the sum are 3: cell-0, cell-1, cell-4"):
        client.agree(masked, survivors((0, 1, 4)))
    with pytest.raises(WrongClients, match="cell-0 is asked to uncover a sum that it is said not to be in"):
        client.agree(masked, survivors((1, 2, 3, 4)))


def test_two_clients_that_were_told_different_survivors_uncover_nothing(honest: Talk) -> None:
    told = {name: (0, 1, 2, 3) if name < "cell-2" else (0, 1, 2, 3, 4) for name in OF.terms.cohort[:4]}
    agreed = {name: client.agree(honest.masked[name][0], survivors(those)) for name, those in told.items()}
    signatures = tuple((number, message[-64:]) for number, (_, message) in enumerate(agreed.values()))
    for state, _ in agreed.values():
        with pytest.raises(WrongSignature, match="has not signed the clients that this round has here"):
            client.unmask(state, Agreements(DIGEST, signatures).to_bytes())
        own = [one for one in signatures if told[OF.terms.cohort[one[0]]] == told[state.masked.shared.advertised.name]]
        with pytest.raises(TooFewClients, match="those who agreed are 2"):
            client.unmask(state, Agreements(DIGEST, tuple(own)).to_bytes())


def test_two_clients_that_were_told_different_sharers_uncover_nothing(honest: Talk) -> None:
    fewer = delivered(honest)._replace(sealed=delivered(honest).sealed[:3])
    masked, _ = client.mask_input(honest.shared["cell-0"][0], fewer.to_bytes(), VALUES["cell-0"])
    those = survivors((0, 1, 2, 3))
    states = {"cell-0": masked} | {name: honest.masked[name][0] for name in ("cell-1", "cell-2", "cell-3")}
    agreed = {name: client.agree(state, those) for name, state in states.items()}
    signatures = tuple((number, message[-64:]) for number, (_, message) in enumerate(agreed.values()))
    with pytest.raises(WrongSignature, match="cell-1 has not signed"):
        client.unmask(agreed["cell-0"][0], Agreements(DIGEST, signatures).to_bytes())
    with pytest.raises(WrongSignature, match="cell-0 has not signed"):
        client.unmask(agreed["cell-1"][0], Agreements(DIGEST, signatures).to_bytes())


def test_agreements_are_of_survivors_of_this_round_and_enough(honest: Talk, other_round: Talk) -> None:
    four, _ = client.agree(honest.masked["cell-0"][0], survivors((0, 1, 2, 3)))
    signed = Agreements.from_bytes(honest.agreements)
    with pytest.raises(WrongClients, match="cell-4 cannot agree to a sum that they are not in"):
        client.unmask(four, signed.to_bytes())
    state = honest.agreed["cell-0"][0]
    with pytest.raises(TooFewClients, match="those who agreed are 3"):
        client.unmask(state, signed._replace(signatures=signed.signatures[:3]).to_bytes())
    replayed = Agreements.from_bytes(other_round.agreements)._replace(digest=DIGEST)
    with pytest.raises(WrongSignature, match="cell-0 has not signed"):
        client.unmask(state, replayed.to_bytes())
    moved = (signed.signatures[0], (1, signed.signatures[2][1]), *signed.signatures[2:])
    with pytest.raises(WrongSignature, match="cell-1 has not signed"):
        client.unmask(state, Agreements(DIGEST, moved).to_bytes())


# Every stage.


def test_messages_of_another_round_are_refused_at_every_stage(honest: Talk, other_round: Talk) -> None:
    steps: list[Callable[[], object]] = [
        lambda: client.share_keys(honest.advertised["cell-0"][0], other_round.roster),
        lambda: client.mask_input(honest.shared["cell-0"][0], other_round.deliveries["cell-0"], VALUES["cell-0"]),
        lambda: client.agree(honest.masked["cell-0"][0], other_round.survivors),
        lambda: client.unmask(honest.agreed["cell-0"][0], other_round.agreements),
    ]
    for step in steps:
        with pytest.raises(WrongRound, match=r"a message belongs to terms .*; round round 1 has terms"):
            step()


def test_messages_of_another_stage_are_refused(honest: Talk) -> None:
    with pytest.raises(MalformedMessage, match="of kind delivery is due here; got one of kind roster"):
        client.mask_input(honest.shared["cell-0"][0], honest.roster, VALUES["cell-0"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda of: {"me": "cell-9"}, "asks cell-0, cell-1, cell-2, cell-3, cell-4, not cell-9"),
        (lambda of: {"node_key": of.node_keys["cell-1"]}, "the node key pinned for cell-0 is not the one that it has"),
        (lambda of: {"pinned": {n: k for n, k in of.pinned.items() if n != "cell-3"}}, "asks cell-3, whose node keys"),
        (lambda of: {"pinned": of.pinned | {"cell-3": of.pinned["cell-4"]}}, "two clients .* have the same node key"),
        (lambda of: {"seed": bytes(31)}, "a seed has 32 bytes; got 31"),
    ],
)
def test_a_client_takes_part_only_with_pinned_keys(change: Callable[[World], dict[str, object]], message: str) -> None:
    arguments = {
        "terms": OF.terms,
        "me": "cell-0",
        "node_key": OF.node_keys["cell-0"],
        "pinned": OF.pinned,
        "seed": bytes(32),
    }
    with pytest.raises(BadInput, match=message):
        client.advertise(**(arguments | change(OF)))


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 5), unique=True).map(sorted), min_size=1, max_size=6), st.integers(0, 4))
def test_whatever_survivors_are_named_no_client_gives_both_secrets_of_one(asked: list[list[int]], who: int) -> None:
    """The server has the node keys of all others, so whatever it asks of the one is signed by everybody else."""
    clients = {name: OF.client(name, VALUES[name]) for name in OF.terms.cohort}
    state, requests = begin(OF.terms, OF.pinned)
    for _ in range(3):
        for name, request in requests.items():
            state = accept(state, name, clients[name].answer(request))
        state, requests = close(state)
    assert isinstance(state, Agreeing)
    roster, one = state.masked.shared.roster_digest, OF.terms.cohort[who]
    gave: dict[str, set[int]] = {"own_masks": set(), "mask_keys": set()}
    for those in [*asked, [number for number in range(5) if number != (who + 1) % 5]]:
        try:
            own = clients[one].answer(survivors(tuple(those)))
        except SecureAggregationError:
            continue
        text = agreed_text(roster, range(5), those)
        signatures = [
            (number, own[-64:] if number == who else sign(node_key(OF.terms.cohort[number]), text)) for number in those
        ]
        answer = clients[one].answer(Agreements(DIGEST, tuple(signatures)).to_bytes())
        shares = Unmasking.from_bytes(answer)
        for kind, numbers in gave.items():
            numbers |= {number for number, _ in getattr(shares, kind)}
        assert {number for number, _ in shares.own_masks} == set(those)
    assert len(gave["own_masks"]) >= OF.terms.threshold
    assert gave["own_masks"].isdisjoint(gave["mask_keys"])
