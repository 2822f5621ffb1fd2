"""The roster of a round: whose keys are used, checked by clients and server alike."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from feature_store.errors import BadInput
from training.secure_aggregation.client_messages import Advertisement
from training.secure_aggregation.errors import (
    TooFewClients,
    WeakKey,
    WrongRound,
    WrongSender,
    WrongSignature,
)
from training.secure_aggregation.node_keys import NodePublicKey, key_bytes, require_node_key, verifies
from training.secure_aggregation.terms import Terms


class Enrolment(NamedTuple):
    """The terms of a round, and the pinned key of each client of its cohort.

    digest: of the terms.
    keys: by number of the client.
    """

    terms: Terms
    digest: bytes
    keys: tuple[NodePublicKey, ...]

    def name(self, client: int) -> str:
        """The name of that number; raises `WrongSender` for a number that is not in the cohort."""
        if client >= len(self.terms.cohort):
            raise WrongSender(f"the cohort has {len(self.terms.cohort)} clients; none has number {client}")
        return self.terms.cohort[client]

    def names(self, clients: Sequence[int]) -> str:
        """Those names in a sentence."""
        return ", ".join(self.name(client) for client in clients) or "nobody"


def enrol(terms: Terms, pinned: Mapping[str, NodePublicKey]) -> Enrolment:
    """The cohort with its keys; raises `BadInput` where a client's key is not pinned, or two clients have the same."""
    if missing := [name for name in terms.cohort if name not in pinned]:
        raise BadInput(f"round {terms.round_id} asks {', '.join(missing)}, whose node keys are not pinned")
    keys = tuple(pinned[name] for name in terms.cohort)
    for name, key in zip(terms.cohort, keys, strict=True):
        require_node_key(key, name)
    if len({key_bytes(key) for key in keys}) < len(keys):
        raise BadInput(f"two clients of round {terms.round_id} have the same node key pinned")
    return Enrolment(terms, terms.digest, keys)


def require_round(enrolment: Enrolment, digest: bytes) -> None:
    """Raise `WrongRound` for a message of another round, or of other terms."""
    if digest != enrolment.digest:
        raise WrongRound(
            f"a message belongs to terms {digest.hex()[:16]}; round {enrolment.terms.round_id} has terms "
            f"{enrolment.digest.hex()[:16]}"
        )


def require_enough(enrolment: Enrolment, clients: Sequence[int], what: str) -> None:
    """Raise `TooFewClients` below the threshold."""
    if len(clients) < enrolment.terms.threshold:
        raise TooFewClients(
            f"round {enrolment.terms.round_id} needs {enrolment.terms.threshold} clients; {what} are "
            f"{len(clients)}: {enrolment.names(clients)}"
        )


def signed_text(digest: bytes, sender: int, seal_key: bytes, mask_key: bytes) -> bytes:
    """What a client signs to advertise its keys."""
    return b"hearth secure aggregation 1: keys\0" + digest + sender.to_bytes(2, "big") + seal_key + mask_key


def require_signed(enrolment: Enrolment, one: Advertisement) -> None:
    """Raise unless the client that is named has signed these keys for this round, with the key pinned for it."""
    require_round(enrolment, one.digest)
    name = enrolment.name(one.sender)
    text = signed_text(one.digest, one.sender, one.seal_key, one.mask_key)
    if not verifies(enrolment.keys[one.sender], text, one.signature):
        raise WrongSignature(f"the keys advertised for {name} are not signed by the node key pinned for it")


def require_distinct(enrolment: Enrolment, advertisements: Sequence[Advertisement]) -> None:
    """Raise `WeakKey` where a public key stands in the roster twice."""
    owners: dict[bytes, int] = {}
    for one in advertisements:
        for key in (one.seal_key, one.mask_key):
            if key in owners:
                raise WeakKey(f"{enrolment.names([owners[key], one.sender])} advertise the same key {key.hex()}")
            owners[key] = one.sender


def roster_digest(enrolment: Enrolment, advertisements: Sequence[Advertisement]) -> bytes:
    """The SHA-256 of the terms and of all keys: what shares, masks and agreements are bound to."""
    content = b"".join(one.sender.to_bytes(2, "big") + one.seal_key + one.mask_key for one in advertisements)
    return hashlib.sha256(b"hearth secure aggregation 1: roster\0" + enrolment.digest + content).digest()
