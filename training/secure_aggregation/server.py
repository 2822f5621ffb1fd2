"""The server's side of a round: `begin`, then `accept` each message that comes and `close` the stage, five times.

    state, requests = begin(terms, pinned)
    while not isinstance(state, SecureSum):
        for sender, message in ...:             # whoever answered the requests within the deadline
            state = accept(state, sender, message)
        state, requests = close(state)          # what to send to whom next; after the last stage nothing

States are values: an `accept` that raises leaves the one there was, and the round goes on without that message. Who
does not answer a stage is left out of the next; `close` raises `TooFewClients` below the threshold.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np

from training.secure_aggregation.agreement import agreed_text, require_agreed
from training.secure_aggregation.client_messages import (
    Advertisement,
    Agreement,
    MaskedInput,
    SealedShares,
    Unmasking,
)
from training.secure_aggregation.derivation import agree, private_key
from training.secure_aggregation.errors import AlreadyAnswered, MalformedMessage, WrongClients, WrongSender
from training.secure_aggregation.masks import word_type
from training.secure_aggregation.node_keys import NodePublicKey
from training.secure_aggregation.roster import (
    Enrolment,
    enrol,
    require_distinct,
    require_enough,
    require_round,
    require_signed,
    roster_digest,
)
from training.secure_aggregation.server_messages import Agreements, Delivery, Roster, Survivors
from training.secure_aggregation.server_states import (
    Advertising,
    Agreeing,
    Masking,
    Sharing,
    Uncovering,
)
from training.secure_aggregation.shamir import share_value
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.uncovering import SecureSum, uncovered

ServerState: TypeAlias = Advertising | Sharing | Masking | Agreeing | Uncovering
Message = TypeVar("Message", Advertisement, SealedShares, MaskedInput, Agreement, Unmasking)

_ANY_KEY = private_key(bytes(range(32)))


def begin(terms: Terms, pinned: Mapping[str, NodePublicKey]) -> tuple[Advertising, dict[str, bytes]]:
    """A new round, and the terms to send to each client of its cohort.

    Args:
        terms: see there.
        pinned: the public node keys of at least the cohort. The server looks at signatures so as to leave out who
            would make the others refuse; it is the clients' own pinned keys that protect them.
    """
    return Advertising(enrol(terms, pinned), {}), dict.fromkeys(terms.cohort, terms.to_bytes())


def accept(state: ServerState, sender: str, message: bytes) -> ServerState:
    """The state with this message; the same message twice counts once.

    Args:
        state: of the stage that goes on.
        sender: who the transport says has sent it.
        message: the client's reply to what `close`, or `begin`, gave for it.

    Raises:
        MalformedMessage, WrongRound: it is no message of this stage, or not of this round.
        WrongSender: it is in another name than the sender's, or of one who is not in this stage.
        AlreadyAnswered: the sender has sent another one before.
        WrongSignature, WeakKey, WrongClients: what it says is signed, keyed or addressed otherwise than agreed.
    """
    match state:
        case Advertising():
            return _accept_advertisement(state, sender, message)
        case Sharing():
            return _accept_shares(state, sender, message)
        case Masking():
            return _accept_masked(state, sender, message)
        case Agreeing():
            return _accept_agreement(state, sender, message)
        case Uncovering():
            return _accept_unmasking(state, sender, message)


def close(state: ServerState) -> tuple[ServerState | SecureSum, dict[str, bytes]]:
    """End a stage: the next one and what to send to each client that is still there, or the sum.

    Raises:
        TooFewClients: fewer than the threshold have answered.
        WrongShare: see `uncovering.uncovered`.
    """
    require_enough(state.enrolment, sorted(state.received), "those who answered")
    match state:
        case Advertising():
            return _close_advertising(state)
        case Sharing():
            return _close_sharing(state)
        case Masking():
            return _close_masking(state)
        case Agreeing():
            return _close_agreeing(state)
        case Uncovering():
            return uncovered(state), {}


def _accept_advertisement(state: Advertising, sender: str, message: bytes) -> Advertising:
    read = _own(state.enrolment, sender, Advertisement.from_bytes(message))
    if _is_new(state.received, read.sender, read, sender):
        require_signed(state.enrolment, read)
        for key in (read.seal_key, read.mask_key):
            agree(_ANY_KEY, key, sender)  # refuses a weak key here, for the others would refuse the whole roster
        require_distinct(state.enrolment, [*state.received.values(), read])
    return Advertising(state.enrolment, {**state.received, read.sender: read})


def _close_advertising(state: Advertising) -> tuple[Sharing, dict[str, bytes]]:
    roster = _ascending(state.received)
    sent = Roster(state.enrolment.digest, tuple(roster.values())).to_bytes()
    digest = roster_digest(state.enrolment, list(roster.values()))
    return Sharing(state.enrolment, roster, digest, {}), _to_all(state.enrolment, roster, sent)


def _accept_shares(state: Sharing, sender: str, message: bytes) -> Sharing:
    read = _own(state.enrolment, sender, SealedShares.from_bytes(message))
    _require_among(state.enrolment, read.sender, state.roster, "advertised keys")
    if _is_new(state.received, read.sender, read, sender):
        receivers, others = (
            [receiver for receiver, _ in read.sealed],
            [one for one in state.roster if one != read.sender],
        )
        _require_same(state.enrolment, receivers, others, f"{sender} shares with")
    return Sharing(state.enrolment, state.roster, state.roster_digest, {**state.received, read.sender: read})


def _close_sharing(state: Sharing) -> tuple[Masking, dict[str, bytes]]:
    sharers, digest = _ascending(state.received), state.enrolment.digest
    for_each: dict[int, list[tuple[int, bytes]]] = {sharer: [] for sharer in sharers}
    for sharer, message in sharers.items():
        for receiver, sealed in message.sealed:
            if receiver in for_each:
                for_each[receiver].append((sharer, sealed))
    sent = {
        state.enrolment.name(receiver): Delivery(digest, receiver, tuple(sealed)).to_bytes()
        for receiver, sealed in for_each.items()
    }
    commitments = {sharer: message.commitment for sharer, message in sharers.items()}
    layout = state.enrolment.terms.layout
    empty = np.zeros(layout.numbers, word_type(layout.word_bits))
    return Masking(state, commitments, empty, {}), sent


def _accept_masked(state: Masking, sender: str, message: bytes) -> Masking:
    read = _own(state.enrolment, sender, MaskedInput.from_bytes(message))
    _require_among(state.enrolment, read.sender, state.commitments, "shared keys")
    digest = hashlib.sha256(message).digest()
    if not _is_new(state.received, read.sender, digest, sender):
        return state
    if len(read.words) != state.total.nbytes:
        raise MalformedMessage(
            f"the masked input of {sender} has {len(read.words):,} bytes; the round's layout takes "
            f"{state.total.nbytes:,}"
        )
    total = state.total + np.frombuffer(read.words, state.total.dtype)
    return Masking(state.shared, state.commitments, total, {**state.received, read.sender: digest})


def _close_masking(state: Masking) -> tuple[Agreeing, dict[str, bytes]]:
    survivors = tuple(sorted(state.received))
    text = agreed_text(state.shared.roster_digest, list(state.commitments), survivors)
    sent = Survivors(state.enrolment.digest, survivors).to_bytes()
    return Agreeing(state, survivors, text, {}), _to_all(state.enrolment, survivors, sent)


def _accept_agreement(state: Agreeing, sender: str, message: bytes) -> Agreeing:
    read = _own(state.enrolment, sender, Agreement.from_bytes(message))
    _require_among(state.enrolment, read.sender, state.survivors, "are in the sum")
    if _is_new(state.received, read.sender, read.signature, sender):
        require_agreed(state.enrolment, read.sender, state.text, read.signature)
    return Agreeing(state.masked, state.survivors, state.text, {**state.received, read.sender: read.signature})


def _close_agreeing(state: Agreeing) -> tuple[Uncovering, dict[str, bytes]]:
    signatures = _ascending(state.received)
    sent = Agreements(state.enrolment.digest, tuple(signatures.items())).to_bytes()
    return Uncovering(state, frozenset(signatures), {}), _to_all(state.enrolment, signatures, sent)


def _accept_unmasking(state: Uncovering, sender: str, message: bytes) -> Uncovering:
    read, agreed = _own(state.enrolment, sender, Unmasking.from_bytes(message)), state.agreed
    _require_among(state.enrolment, read.sender, state.signers, "agreed")
    if _is_new(state.received, read.sender, read, sender):
        dropped = [client for client in agreed.masked.commitments if client not in agreed.survivors]
        uncovers, reveals = [client for client, _ in read.own_masks], [client for client, _ in read.mask_keys]
        _require_same(state.enrolment, uncovers, agreed.survivors, f"{sender} uncovers the own masks of")
        _require_same(state.enrolment, reveals, dropped, f"{sender} reveals the mask keys of")
        for _, share in (*read.own_masks, *read.mask_keys):
            share_value(share)
    return Uncovering(agreed, state.signers, {**state.received, read.sender: read})


def _own(enrolment: Enrolment, sender: str, read: Message) -> Message:
    """The message, if it is of this round and in the name of who sent it."""
    require_round(enrolment, read.digest)
    if (name := enrolment.name(read.sender)) != sender:
        raise WrongSender(f"{sender} sent a message in the name of {name}")
    return read


def _is_new(received: Mapping[int, object], client: int, message: object, sender: str) -> bool:
    """Whether this is the client's first message of the stage; raises `AlreadyAnswered` for another than that."""
    if client not in received:
        return True
    if received[client] != message:
        raise AlreadyAnswered(f"{sender} has answered this stage before, and otherwise")
    return False


def _require_among(enrolment: Enrolment, client: int, those: Iterable[int], who: str) -> None:
    if client not in (numbers := list(those)):
        raise WrongSender(f"{enrolment.name(client)} is none of those who {who}: {enrolment.names(numbers)}")


def _require_same(enrolment: Enrolment, got: Iterable[int], expected: Iterable[int], what: str) -> None:
    one, other = list(got), list(expected)
    if one != other:
        strangers = [client for client in one if client >= len(enrolment.terms.cohort)]
        named = f"numbers {strangers}, which are nobody's" if strangers else enrolment.names(one)
        raise WrongClients(f"{what} {named}; due are {enrolment.names(other)}")


Value = TypeVar("Value")


def _ascending(received: Mapping[int, Value]) -> dict[int, Value]:
    return {client: received[client] for client in sorted(received)}


def _to_all(enrolment: Enrolment, clients: Iterable[int], message: bytes) -> dict[str, bytes]:
    return {enrolment.name(client): message for client in clients}
