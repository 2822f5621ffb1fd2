"""A client's side of a round: five functions, each from a state and what the server sent to a state and a reply.

States are values: with the same state and request comes the same reply (but for ECDSA signatures, which are random).
So a state must go on once only: a second `mask_input` of one state with other values would show their difference, and
two `agree` with other survivors could uncover a client. `client_round.ClientRound` sees to that.

In the paper's letters: seal key c, mask key s, secret of the own mask b; roster U1, sharers U2, survivors U3, and those
who agreed U4. A client that is asked for shares gives, of each other client, that of s or that of b, and never both.
"""

from collections.abc import Mapping, Sequence

from feature_store.arrays import Float32Array, Float64Array
from feature_store.errors import BadInput
from training.secure_aggregation.agreement import agreed_text, require_agreed
from training.secure_aggregation.client_messages import (
    Advertisement,
    Agreement,
    MaskedInput,
    SealedShares,
    Unmasking,
)
from training.secure_aggregation.client_states import Advertised, Agreed, Masked, Shared
from training.secure_aggregation.derivation import KEY_BYTES, private_key, public_key
from training.secure_aggregation.derivation import agree as agree_on
from training.secure_aggregation.errors import WrongClients, WrongReceiver
from training.secure_aggregation.fixed_point import encode
from training.secure_aggregation.masks import add_masks
from training.secure_aggregation.node_keys import NodeKey, NodePublicKey, sign
from training.secure_aggregation.pair_masks import (
    own_mask_commitment,
    own_mask_key,
    pair_mask_key,
    pair_mask_sign,
)
from training.secure_aggregation.roster import (
    enrol,
    require_distinct,
    require_enough,
    require_round,
    require_signed,
    roster_digest,
    signed_text,
)
from training.secure_aggregation.sealed_shares import Envelope, Shares, open_sealed, seal
from training.secure_aggregation.server_messages import Agreements, Delivery, Roster, Survivors
from training.secure_aggregation.shamir import split
from training.secure_aggregation.terms import Terms


def advertise(
    terms: Terms, me: str, node_key: NodeKey, pinned: Mapping[str, NodePublicKey], seed: bytes
) -> tuple[Advertised, bytes]:
    """Stage 0: make the round's keys and sign them.

    Args:
        terms: what the server proposed, and the caller found acceptable: clip bounds, cohort, threshold.
        me: this client's name.
        node_key: its private key; the others have pinned the public half.
        pinned: the public node keys of at least the cohort.
        seed: 32 bytes from the operating system's generator, used for nothing else, ever.

    Raises:
        BadInput: this client is not asked; its own pinned key is not of its node key; somebody's is not pinned.
    """
    if len(seed) != KEY_BYTES:
        raise BadInput(f"a seed has {KEY_BYTES} bytes; got {len(seed)}")
    if me not in terms.cohort:
        raise BadInput(f"round {terms.round_id} asks {', '.join(terms.cohort)}, not {me}")
    enrolment = enrol(terms, pinned)
    state = Advertised(enrolment, terms.cohort.index(me), node_key, seed)
    if node_key.public_key() != enrolment.keys[state.client]:
        raise BadInput(f"the node key pinned for {me} is not the one that it has")
    return state, _own_advertisement(state).to_bytes()


def share_keys(state: Advertised, roster: bytes) -> tuple[Shared, bytes]:
    """Stage 1: share the private mask key and the secret of the own mask with everybody on the roster.

    Raises:
        MalformedMessage, WrongRound: it is no roster, or not this round's.
        TooFewClients: fewer than the threshold advertised keys.
        WrongClients: this client is not on it with the keys that it made.
        WrongSignature: somebody's keys are not signed with the node key pinned for it, so the server has swapped them.
        WeakKey: a key is there twice, or agrees on the same with everybody.
    """
    read, enrolment = Roster.from_bytes(roster), state.enrolment
    require_round(enrolment, read.digest)
    by_number = {one.sender: one for one in read.advertisements}
    require_enough(enrolment, list(by_number), "on the roster")
    own = by_number.pop(state.client, None)
    if own is None or (own.seal_key, own.mask_key) != _public_keys(state):
        raise WrongClients(f"the roster does not have {state.name} with the keys that it made")
    for one in by_number.values():
        require_signed(enrolment, one)
    require_distinct(enrolment, read.advertisements)
    digest = roster_digest(enrolment, read.advertisements)
    numbers = [one.sender for one in read.advertisements]
    shares = dict(zip(numbers, _split(state, numbers), strict=True))
    seal_key = private_key(state.secret("seal key"))
    sealed = []
    for number, other in by_number.items():
        name = enrolment.name(number)
        envelope = Envelope(agree_on(seal_key, other.seal_key, name), digest, state.name, name)
        sealed.append((number, seal(shares[number], envelope)))
    commitment = own_mask_commitment(digest, state.name, state.secret("own mask"))
    message = SealedShares(enrolment.digest, state.client, commitment, tuple(sealed))
    return Shared(state, by_number, digest, shares[state.client]), message.to_bytes()


def mask_input(
    state: Shared,
    delivery: bytes,
    values: Mapping[str, Float32Array | Float64Array],
    rounding: Sequence[int] | None = None,
) -> tuple[Masked, bytes]:
    """Stage 2: the values in fixed point, under a mask of its own and one with each client that has shared.

    Args:
        state: after stage 1.
        delivery: what the others sealed for this client.
        values: one array for each field of the terms' layout.
        rounding: see `fixed_point.encode`.

    Raises:
        MalformedMessage, WrongRound, WrongReceiver: it is no delivery, or not this round's, or another client's.
        WrongClients: it has shares of somebody who is not on the roster.
        TooFewClients: fewer than the threshold have shared.
        WrongShare: shares do not open.
        BadInput, OutOfRange: see `fixed_point.encode`.
    """
    advertised, read = state.advertised, Delivery.from_bytes(delivery)
    enrolment = advertised.enrolment
    require_round(enrolment, read.digest)
    if read.receiver != advertised.client:
        raise WrongReceiver(f"shares for {enrolment.name(read.receiver)} were delivered to {advertised.name}")
    senders = [sender for sender, _ in read.sealed]
    if strangers := [sender for sender in senders if sender not in state.others]:
        raise WrongClients(f"shares came from {enrolment.names(strangers)}, not among the others on the roster")
    sharers = sorted([*senders, advertised.client])
    require_enough(enrolment, sharers, "those who shared")
    held = {advertised.client: state.own}
    seal_key = private_key(advertised.secret("seal key"))
    for sender, sealed in read.sealed:
        name = enrolment.name(sender)
        agreed = agree_on(seal_key, state.others[sender].seal_key, name)
        held[sender] = open_sealed(sealed, Envelope(agreed, state.roster, name, advertised.name))

    layout = enrolment.terms.layout
    words = encode(values, layout, len(enrolment.terms.cohort), rounding)
    mask_key = private_key(advertised.secret("mask key"))
    keys = [(own_mask_key(state.roster, advertised.name, advertised.secret("own mask")), 1)]
    for sender in senders:
        name, public = enrolment.name(sender), state.others[sender].mask_key
        names = (min(name, advertised.name), max(name, advertised.name))
        key = pair_mask_key(mask_key, public, state.roster, names, name)
        keys.append((key, pair_mask_sign(advertised.client, sender)))
    add_masks(words, keys)
    message = MaskedInput(enrolment.digest, advertised.client, words.tobytes())
    return Masked(state, {sharer: held[sharer] for sharer in sharers}), message.to_bytes()


def agree(state: Masked, survivors: bytes) -> tuple[Agreed, bytes]:
    """Stage 3, first half: sign who the server says is in the sum.

    Raises:
        MalformedMessage, WrongRound: it is no set of survivors, or not this round's.
        WrongClients: it has somebody who has not shared with this client, or has not this client.
        TooFewClients: fewer than the threshold are in it.
    """
    advertised, read = state.shared.advertised, Survivors.from_bytes(survivors)
    enrolment = advertised.enrolment
    require_round(enrolment, read.digest)
    if strangers := [client for client in read.clients if client not in state.held]:
        raise WrongClients(f"{enrolment.names(strangers)} cannot be in the sum: no shares of theirs were delivered")
    if advertised.client not in read.clients:
        raise WrongClients(f"{advertised.name} is asked to uncover a sum that it is said not to be in")
    require_enough(enrolment, read.clients, "in the sum")
    agreed = Agreed(state, read.clients)
    signature = sign(advertised.node_key, _agreed_text(agreed))
    return agreed, Agreement(enrolment.digest, advertised.client, signature).to_bytes()


def unmask(state: Agreed, agreements: bytes) -> bytes:
    """Stage 3, second half: of each survivor the share of its own mask, of each other sharer that of its mask key.

    Raises:
        MalformedMessage, WrongRound: they are no agreements, or not this round's.
        WrongClients: somebody is said to have agreed who is not in the sum.
        TooFewClients: fewer than the threshold have agreed.
        WrongSignature: a client has not signed the sets that this client has.
    """
    advertised, read = state.masked.shared.advertised, Agreements.from_bytes(agreements)
    enrolment, survivors = advertised.enrolment, set(state.survivors)
    require_round(enrolment, read.digest)
    signers = [client for client, _ in read.signatures]
    if strangers := [client for client in signers if client not in survivors]:
        raise WrongClients(f"{enrolment.names(strangers)} cannot agree to a sum that they are not in")
    require_enough(enrolment, signers, "those who agreed")
    text = _agreed_text(state)
    for client, signature in read.signatures:
        require_agreed(enrolment, client, text, signature)
    held = state.masked.held
    own_masks = tuple((client, shares.own_mask) for client, shares in held.items() if client in survivors)
    mask_keys = tuple((client, shares.mask_key) for client, shares in held.items() if client not in survivors)
    return Unmasking(enrolment.digest, advertised.client, own_masks, mask_keys).to_bytes()


def _own_advertisement(state: Advertised) -> Advertisement:
    seal_key, mask_key = _public_keys(state)
    digest = state.enrolment.digest
    signature = sign(state.node_key, signed_text(digest, state.client, seal_key, mask_key))
    return Advertisement(digest, state.client, seal_key, mask_key, signature)


def _public_keys(state: Advertised) -> tuple[bytes, bytes]:
    return public_key(state.secret("seal key")), public_key(state.secret("mask key"))


def _agreed_text(state: Agreed) -> bytes:
    return agreed_text(state.masked.shared.roster, list(state.masked.held), state.survivors)


def _split(state: Advertised, numbers: Sequence[int]) -> list[Shares]:
    """The shares of this client's two secrets for those clients; a client's point is its number and one."""
    threshold, points = state.enrolment.terms.threshold, [number + 1 for number in numbers]
    mask_keys, own_masks = (
        split(state.secret(name), threshold, points, state.secret(f"{name} polynomial"))
        for name in ("mask key", "own mask")
    )
    return [Shares(*both) for both in zip(mask_keys, own_masks, strict=True)]
