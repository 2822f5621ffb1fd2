"""What a client knows of a round, stage by stage. Values, and secret: `client` makes each from the one before."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.secure_aggregation.client_messages import Advertisement
from training.secure_aggregation.derivation import derive
from training.secure_aggregation.node_keys import NodeKey
from training.secure_aggregation.roster import Enrolment
from training.secure_aggregation.sealed_shares import Shares


@dataclass(frozen=True, slots=True)
class Advertised:
    """After stage 0.

    client: this client's number. seed: what all its secrets of the round follow from.
    """

    enrolment: Enrolment
    client: int
    node_key: NodeKey
    seed: bytes

    @property
    def name(self) -> str:
        """This client's name."""
        return self.enrolment.name(self.client)

    def secret(self, purpose: str) -> bytes:
        """One of this client's secrets of this round, 32 bytes."""
        return derive(self.seed, self.enrolment.digest, purpose, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(round {self.enrolment.terms.round_id}, {self.name}, secrets not shown)"


@dataclass(frozen=True, slots=True, repr=False)
class Shared:
    """After stage 1. others: keys of the roster's other clients, by number; own: this client's own shares."""

    advertised: Advertised
    others: Mapping[int, Advertisement]
    roster: bytes
    own: Shares


@dataclass(frozen=True, slots=True, repr=False)
class Masked:
    """After stage 2. held: the shares of each sharer that this client holds, its own included, by ascending number."""

    shared: Shared
    held: Mapping[int, Shares]


@dataclass(frozen=True, slots=True, repr=False)
class Agreed:
    """After the first half of stage 3."""

    masked: Masked
    survivors: tuple[int, ...]
