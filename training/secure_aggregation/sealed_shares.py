"""Shares that pass through the server sealed: AES-256-GCM, with a key for each direction between two clients.

The key follows from the two clients' agreement, the round's roster and both names, and seals one message; so its nonce
is zero. Sender, receiver and round are authenticated besides.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from training.secure_aggregation.derivation import derive
from training.secure_aggregation.errors import WrongShare
from training.secure_aggregation.shamir import SHARE_BYTES, share_value

SEALED_BYTES = 2 * SHARE_BYTES + 16  # two shares and the tag

_NONCE = bytes(12)


class Shares(NamedTuple):
    """What one client holds of another's two secrets, each share 66 bytes. Of the two it gives away one at most."""

    mask_key: bytes
    own_mask: bytes


class Envelope(NamedTuple):
    """Between whom shares pass.

    agreed: what sender and receiver agree on by their seal keys.
    roster: digest of the round's roster.
    sender, receiver: names.
    """

    agreed: bytes
    roster: bytes
    sender: str
    receiver: str


def seal(shares: Shares, envelope: Envelope) -> bytes:
    """The shares, for the receiver alone."""
    return _cipher(envelope).encrypt(_NONCE, shares.mask_key + shares.own_mask, _bound(envelope))


def open_sealed(sealed: bytes, envelope: Envelope) -> Shares:
    """What was sealed.

    Raises:
        WrongShare: it was not sealed by that sender for that receiver in this round.
        MalformedMessage: what was sealed are no shares.
    """
    try:
        content = _cipher(envelope).decrypt(_NONCE, sealed, _bound(envelope))
    except InvalidTag:
        raise WrongShare(
            f"shares are not as {envelope.sender} sealed them for {envelope.receiver} in the round of roster "
            f"{envelope.roster.hex()[:16]}"
        ) from None
    shares = Shares(content[:SHARE_BYTES], content[SHARE_BYTES:])
    for share in shares:
        share_value(share)
    return shares


def _cipher(envelope: Envelope) -> AESGCM:
    return AESGCM(derive(envelope.agreed, envelope.roster, "shares", envelope.sender, envelope.receiver))


def _bound(envelope: Envelope) -> bytes:
    parts = (envelope.sender.encode(), envelope.receiver.encode())
    return envelope.roster + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
