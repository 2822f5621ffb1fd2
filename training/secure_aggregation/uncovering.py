"""The last step of a round: from the shares that came, the masks that are left in the sum; and the sum without them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from feature_store.arrays import Float64Array
from training.secure_aggregation.derivation import private_key, public_key
from training.secure_aggregation.errors import WrongShare
from training.secure_aggregation.fixed_point import decode
from training.secure_aggregation.masks import add_masks
from training.secure_aggregation.pair_masks import (
    own_mask_commitment,
    own_mask_key,
    pair_mask_key,
    pair_mask_sign,
)
from training.secure_aggregation.server_states import Masking, Uncovering
from training.secure_aggregation.shamir import recover, share_value, weights_at_zero


class SecureSum(NamedTuple):
    """What a round gives.

    sums: of each field of the layout, over the clients, exact sums of their rounded numbers; see `fixed_point`.
    clients: names of those who are in it.
    """

    sums: Mapping[str, Float64Array]
    clients: tuple[str, ...]


def uncovered(state: Uncovering) -> SecureSum:
    """The sum over the survivors.

    Raises:
        WrongShare: the shares of somebody's secret give another one than it committed to. A client lied, either
            that one in stage 1 or one of those whose shares were used.
    """
    masked, survivors = state.agreed.masked, state.agreed.survivors
    enrolment, roster = state.enrolment, masked.shared.roster_digest
    senders = sorted(state.received)[: enrolment.terms.threshold]
    weights = weights_at_zero([sender + 1 for sender in senders])
    own_masks = _transposed([state.received[sender].own_masks for sender in senders])
    mask_keys = _transposed([state.received[sender].mask_keys for sender in senders])

    def secret(client: int, shares: Sequence[int], of: Callable[[bytes], bytes], expected: bytes) -> bytes:
        recovered = recover(shares, weights, enrolment.name(client))
        if of(recovered) != expected:
            raise WrongShare(
                f"the shares of {enrolment.names(senders)} give another secret of {enrolment.name(client)} than the "
                f"one that it committed to"
            )
        return recovered

    keys = []
    for client, shares in own_masks.items():
        name = enrolment.name(client)
        own = secret(client, shares, partial(own_mask_commitment, roster, name), masked.commitments[client])
        keys.append((own_mask_key(roster, name, own), -1))
    for client, shares in mask_keys.items():
        private = private_key(secret(client, shares, public_key, masked.shared.roster[client].mask_key))
        keys += [(_pair_key(masked, client, private, one), -pair_mask_sign(one, client)) for one in survivors]
    total = masked.total.copy()
    add_masks(total, keys)
    sums = decode(total, enrolment.terms.layout, len(enrolment.terms.cohort))
    return SecureSum(sums, tuple(enrolment.name(client) for client in survivors))


def _pair_key(masked: Masking, dropped: int, private: X25519PrivateKey, survivor: int) -> bytes:
    enrolment = masked.enrolment
    low, high = sorted((enrolment.name(dropped), enrolment.name(survivor)))
    public = masked.shared.roster[survivor].mask_key
    return pair_mask_key(private, public, masked.shared.roster_digest, (low, high), enrolment.name(survivor))


def _transposed(sent: Sequence[tuple[tuple[int, bytes], ...]]) -> dict[int, list[int]]:
    """From the shares that each sent to the shares of each client; all sent those of the same clients."""
    clients = [client for client, _ in sent[0]]
    return {client: [share_value(shares[place][1]) for shares in sent] for place, client in enumerate(clients)}
