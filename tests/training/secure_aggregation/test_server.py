"""The server's side: what a client may not send, by name, and the round that goes on without it."""

from typing import Any

import pytest

from feature_store.errors import BadInput
from tests.training.secure_aggregation.rounds import LAYOUT, Talk, random_values, talk, world
from training.secure_aggregation.client_messages import (
    Advertisement,
    Agreement,
    MaskedInput,
    SealedShares,
    Unmasking,
)
from training.secure_aggregation.errors import (
    AlreadyAnswered,
    MalformedMessage,
    SecureAggregationError,
    TooFewClients,
    WeakKey,
    WrongClients,
    WrongRound,
    WrongSender,
    WrongShare,
    WrongSignature,
)
from training.secure_aggregation.node_keys import sign
from training.secure_aggregation.roster import signed_text
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.shamir import PRIME
from training.secure_aggregation.uncovering import SecureSum

OF = world(5, 3)
VALUES = {name: random_values(LAYOUT, number) for number, name in enumerate(OF.terms.cohort)}
LEAVES = {"cell-3": 2}  # it shares keys and sends no input
KINDS = (Advertisement, SealedShares, MaskedInput, Agreement, Unmasking)


@pytest.fixture(scope="module")
def made() -> Talk:
    return talk(OF, VALUES, LEAVES)


def replies(made: Talk, stage: int) -> dict[str, bytes]:
    stages = (made.advertised, made.shared, made.masked, made.agreed)
    return {name: reply for name, (_, reply) in stages[stage].items()} if stage < 4 else dict(made.unmaskings)


def at(made: Talk, stage: int, *accepted: str) -> ServerState:
    """The server with all messages before that stage, and of that stage those of who is named."""
    state: Any
    state, _ = begin(OF.terms, OF.pinned)
    for before in range(stage):
        for name, reply in replies(made, before).items():
            state = accept(state, name, reply)
        state, _ = close(state)
    for name in accepted:
        state = accept(state, name, replies(made, stage)[name])
    return state


@pytest.mark.parametrize("stage", range(5))
def test_each_stage_refuses_what_is_not_of_the_sender_the_round_or_the_stage(made: Talk, stage: int) -> None:
    state, own = at(made, stage), replies(made, stage)
    with pytest.raises(WrongSender, match="cell-1 sent a message in the name of cell-0"):
        accept(state, "cell-1", own["cell-0"])
    with pytest.raises(WrongSender, match="the cohort has 5 clients; none has number 9"):
        accept(state, "cell-9", own["cell-0"][:37] + b"\0\x09" + own["cell-0"][39:])
    with pytest.raises(WrongRound, match="a message belongs to terms"):
        accept(state, "cell-0", own["cell-0"][:5] + bytes(32) + own["cell-0"][37:])
    with pytest.raises(MalformedMessage, match="is due here"):
        accept(state, "cell-0", replies(made, (stage + 1) % 5)["cell-0"])
    with pytest.raises(MalformedMessage, match="bytes after its end"):
        accept(state, "cell-0", own["cell-0"] + b"\0")


@pytest.mark.parametrize("stage", range(5))
def test_a_message_that_comes_again_counts_once_and_another_is_refused(made: Talk, stage: int) -> None:
    state, own = at(made, stage, "cell-0"), replies(made, stage)["cell-0"]
    again = accept(state, "cell-0", own)
    assert again.received == state.received
    if stage == 2:
        assert again.total.tolist() == state.total.tolist()
    changed = own[:-1] + bytes([own[-1] ^ 1])
    with pytest.raises(AlreadyAnswered, match="cell-0 has answered this stage before, and otherwise"):
        accept(state, "cell-0", changed)


@pytest.mark.parametrize("stage", range(5))
def test_a_stage_that_too_few_answered_is_not_closed_and_can_still_be_answered(made: Talk, stage: int) -> None:
    state = at(made, stage, "cell-0", "cell-2")
    with pytest.raises(TooFewClients, match="needs 3 clients; those who answered are 2: cell-0, cell-2"):
        close(state)
    close(accept(state, "cell-1", replies(made, stage)["cell-1"]))


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_who_left_out_a_stage_is_not_in_the_next(made: Talk, stage: int) -> None:
    state: Any = at(made, stage - 1, "cell-0", "cell-1", "cell-2")
    state, requests = close(state)
    assert sorted(requests) == ["cell-0", "cell-1", "cell-2"]
    with pytest.raises(WrongSender, match="cell-4 is none of those who"):
        accept(state, "cell-4", replies(made, stage)["cell-4"])


def test_keys_with_another_signature_or_that_others_would_refuse_are_not_taken(made: Talk) -> None:
    state = at(made, 0, "cell-0")
    own = Advertisement.from_bytes(made.advertised["cell-1"][1])
    with pytest.raises(WrongSignature, match="the keys advertised for cell-1"):
        accept(state, "cell-1", own._replace(signature=bytes(64)).to_bytes())
    taken = Advertisement.from_bytes(made.advertised["cell-0"][1]).mask_key
    for changed, message in (
        ({"mask_key": bytes(32)}, "a public key of cell-1 agrees on the same secret with everybody"),
        ({"seal_key": bytes(32)}, "a public key of cell-1 agrees on the same secret with everybody"),
        ({"mask_key": taken}, "cell-0, cell-1 advertise the same key"),
    ):
        keys = own._replace(**changed)
        text = signed_text(keys.digest, 1, keys.seal_key, keys.mask_key)
        with pytest.raises(WeakKey, match=message):
            accept(state, "cell-1", keys._replace(signature=sign(OF.node_keys["cell-1"], text)).to_bytes())


def test_shares_are_for_everybody_else_on_the_roster(made: Talk) -> None:
    state = at(made, 1)
    own = SealedShares.from_bytes(made.shared["cell-1"][1])
    with pytest.raises(
        WrongClients, match="cell-1 shares with cell-0, cell-2, cell-3; due are cell-0, cell-2, cell-3, c"
    ):
        accept(state, "cell-1", own._replace(sealed=own.sealed[:-1]).to_bytes())
    with pytest.raises(WrongClients, match=r"cell-1 shares with numbers \[7\], which are nobody's"):
        accept(state, "cell-1", own._replace(sealed=(*own.sealed[:-1], (7, own.sealed[-1][1]))).to_bytes())


def test_a_masked_input_has_the_length_of_the_layout(made: Talk) -> None:
    own = MaskedInput.from_bytes(made.masked["cell-1"][1])
    with pytest.raises(MalformedMessage, match="masked input of cell-1 has 36 bytes; the round's layout takes 40"):
        accept(at(made, 2), "cell-1", own._replace(words=own.words[:-4]).to_bytes())


def test_an_agreement_is_to_the_sets_of_this_round(made: Talk) -> None:
    own = Agreement.from_bytes(made.agreed["cell-1"][1])
    with pytest.raises(WrongSignature, match="cell-1 has not signed the clients that this round has here"):
        accept(at(made, 3), "cell-1", own._replace(signature=made.agreed["cell-2"][1][-64:]).to_bytes())


def test_shares_that_uncover_are_those_that_are_due(made: Talk) -> None:
    state, own = at(made, 4), Unmasking.from_bytes(made.unmaskings["cell-1"])
    with pytest.raises(
        WrongClients, match="cell-1 uncovers the own masks of cell-0, cell-1, cell-2; due are cell-0, c"
    ):
        accept(state, "cell-1", own._replace(own_masks=own.own_masks[:-1]).to_bytes())
    with pytest.raises(WrongClients, match="cell-1 reveals the mask keys of nobody; due are cell-3"):
        accept(state, "cell-1", own._replace(mask_keys=()).to_bytes())
    with pytest.raises(MalformedMessage, match="a share has 66 bytes and is below"):
        accept(state, "cell-1", own._replace(mask_keys=((3, PRIME.to_bytes(66, "big")),)).to_bytes())


@pytest.mark.parametrize(("which", "whose"), [("own_masks", "cell-0"), ("mask_keys", "cell-3")])
@pytest.mark.parametrize("added", [1, 1 << 400])
def test_a_wrong_share_gives_no_sum(made: Talk, which: str, whose: str, added: int) -> None:
    """Added 1, the share gives a secret of 32 bytes as well: only what was committed to tells it from the right one."""
    state = at(made, 4, "cell-0", "cell-2")
    lied = Unmasking.from_bytes(made.unmaskings["cell-1"])
    (client, share), *rest = getattr(lied, which)
    wrong = (int.from_bytes(share, "big") + added) % PRIME
    state = accept(state, "cell-1", lied._replace(**{which: ((client, wrong.to_bytes(66, "big")), *rest)}).to_bytes())
    with pytest.raises(WrongShare, match=f"secret of {whose}"):
        close(state)


def test_one_client_of_each_stage_may_lie_and_the_sum_is_over_the_others(made: Talk) -> None:
    """What `accept` refuses leaves the state that there was."""
    state: Any
    state, _ = begin(OF.terms, OF.pinned)
    for stage in range(3):
        for name, reply in replies(made, stage).items():
            with pytest.raises(SecureAggregationError):
                accept(state, name, reply[:-1])
            state = accept(state, name, reply)
        state, _ = close(state)
    assert state.survivors == (0, 1, 2, 4)


def test_the_sum_is_the_same_whoever_uncovers_it(made: Talk) -> None:
    result, requests = close(at(made, 4, "cell-4", "cell-0", "cell-2"))
    assert isinstance(result, SecureSum)
    assert requests == {}
    assert result.clients == ("cell-0", "cell-1", "cell-2", "cell-4")
    for name, array in made.result.sums.items():
        assert result.sums[name].tolist() == array.tolist()
    counts = sum(VALUES[name]["counts"] for name in result.clients)
    assert result.sums["counts"].tolist() == counts.tolist()


def test_a_server_knows_the_keys_of_whom_it_asks() -> None:
    with pytest.raises(BadInput, match="round round 1 asks cell-4, whose node keys are not pinned"):
        begin(OF.terms, {name: key for name, key in OF.pinned.items() if name != "cell-4"})
