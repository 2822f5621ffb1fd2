"""The masks of pairs: of two clients one adds what the other takes away, so a sum over both has nothing of it."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from training.secure_aggregation.derivation import agree, derive


def pair_mask_key(private: X25519PrivateKey, public: bytes, roster: bytes, names: tuple[str, str], other: str) -> bytes:
    """The key of the mask between two clients, the same from either side.

    Args:
        private: mask key of one of them.
        public: mask key of the other.
        roster: digest of the round's roster.
        names: both, in ascending order.
        other: whose key `public` is, for errors.
    """
    return derive(agree(private, public, other), roster, "pair mask", *names)


def pair_mask_sign(client: int, other: int) -> int:
    """Whether the client adds the mask (1) or takes it away (−1): who has the higher number adds."""
    return 1 if client > other else -1


def own_mask_key(roster: bytes, name: str, secret: bytes) -> bytes:
    """The key of a client's own mask, from the secret b that it has shared."""
    return derive(secret, roster, "own mask", name)


def own_mask_commitment(roster: bytes, name: str, secret: bytes) -> bytes:
    """What a client tells the server of the secret of its own mask: nothing, but a wrong one is known by it."""
    return derive(secret, roster, "commitment", name)
