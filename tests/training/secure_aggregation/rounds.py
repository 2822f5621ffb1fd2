"""Rounds in memory: a cohort with node keys from seeds, and whoever is said to drop out does."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from feature_store.arrays import Float32Array
from training.secure_aggregation import client
from training.secure_aggregation.client_round import ClientRound
from training.secure_aggregation.client_states import Advertised, Agreed, Masked, Shared
from training.secure_aggregation.fixed_point import Field, Layout
from training.secure_aggregation.node_keys import NodeKey, NodePublicKey
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.uncovering import SecureSum

LAYOUT = Layout((Field("gradient", (3, 2), 1.0), Field("counts", (4,), 1000.0)))
Values = Mapping[str, Float32Array]


class World(NamedTuple):
    terms: Terms
    node_keys: Mapping[str, NodeKey]

    @property
    def pinned(self) -> dict[str, NodePublicKey]:
        return {name: key.public_key() for name, key in self.node_keys.items()}

    def client(self, name: str, values: Values) -> ClientRound:
        return ClientRound(name, self.node_keys[name], self.pinned, lambda _: values, lambda _: None)

    def seed(self, name: str, what: str = "seed") -> bytes:
        return seeded(what, self.terms.round_id, name)


def seeded(*names: str) -> bytes:
    """32 bytes that anybody can make again."""
    return hashlib.sha256("\0".join(names).encode()).digest()


def node_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seeded("node key", name))


def world(clients: int, threshold: int, layout: Layout = LAYOUT, round_id: str = "round 1") -> World:
    names = tuple(sorted(f"cell-{number}" for number in range(clients)))
    return World(Terms(round_id, names, threshold, layout), {name: node_key(name) for name in names})


def random_values(layout: Layout, seed: int) -> dict[str, Float32Array]:
    """Numbers within the bounds, counts whole."""
    random = np.random.default_rng(seed)
    return {
        field.name: np.rint(random.uniform(0, field.bound, field.shape)).astype(np.float32)
        if field.name == "counts"
        else random.uniform(-field.bound, field.bound, field.shape).astype(np.float32)
        for field in layout.fields
    }


def run(
    of: World,
    values: Mapping[str, Values],
    leaves: Mapping[str, int] | None = None,
    seen: Callable[[str, bytes], None] = lambda name, message: None,
) -> SecureSum:
    """One round over `ClientRound`.

    leaves: name → the number of the request, from 0, that the client does not answer any more.
    seen: is told each message that the server gets.
    """
    clients = {name: of.client(name, values[name]) for name in of.terms.cohort}
    state, requests = begin(of.terms, of.pinned)
    for number in range(5):
        for name, request in requests.items():
            if number < (leaves or {}).get(name, 5):
                reply = clients[name].answer(request)
                seen(name, reply)
                state = accept(state, name, reply)
        state, requests = close(state)
    assert isinstance(state, SecureSum)
    return state


class Talk(NamedTuple):
    """All messages of a round without dropouts but those named, made by the functions of `client` from seeds.

    Each mapping is by the client's name; requests are what the server sent to it, replies what it sent.
    """

    advertised: dict[str, tuple[Advertised, bytes]]
    roster: bytes
    shared: dict[str, tuple[Shared, bytes]]
    deliveries: dict[str, bytes]
    masked: dict[str, tuple[Masked, bytes]]
    survivors: bytes
    agreed: dict[str, tuple[Agreed, bytes]]
    agreements: bytes
    unmaskings: dict[str, bytes]
    result: SecureSum


def talk(of: World, values: Mapping[str, Values], leaves: Mapping[str, int] | None = None) -> Talk:
    left = leaves or {}

    def there(stage: int) -> list[str]:
        return [name for name in of.terms.cohort if left.get(name, 5) > stage]

    state, _ = begin(of.terms, of.pinned)
    advertised = {
        name: client.advertise(of.terms, name, of.node_keys[name], of.pinned, of.seed(name)) for name in there(0)
    }
    state, requests = close(_accepted(state, {name: reply for name, (_, reply) in advertised.items()}))
    roster = next(iter(requests.values()))
    shared = {name: client.share_keys(advertised[name][0], roster) for name in there(1)}
    state, deliveries = close(_accepted(state, {name: reply for name, (_, reply) in shared.items()}))
    masked = {name: client.mask_input(shared[name][0], deliveries[name], values[name]) for name in there(2)}
    state, requests = close(_accepted(state, {name: reply for name, (_, reply) in masked.items()}))
    survivors = next(iter(requests.values()))
    agreed = {name: client.agree(masked[name][0], survivors) for name in there(3)}
    state, requests = close(_accepted(state, {name: reply for name, (_, reply) in agreed.items()}))
    agreements = next(iter(requests.values()))
    unmaskings = {name: client.unmask(agreed[name][0], agreements) for name in there(4)}
    result, nothing = close(_accepted(state, unmaskings))
    assert nothing == {}
    assert isinstance(result, SecureSum)
    return Talk(advertised, roster, shared, deliveries, masked, survivors, agreed, agreements, unmaskings, result)


def _accepted(state: ServerState, replies: Mapping[str, bytes]) -> ServerState:
    for name, reply in replies.items():
        state = accept(state, name, reply)
    return state
