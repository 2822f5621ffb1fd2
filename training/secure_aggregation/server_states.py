"""What a server knows of a round, stage by stage. Values: `server.accept` and `server.close` make the next."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.secure_aggregation.client_messages import Advertisement, SealedShares, Unmasking
from training.secure_aggregation.masks import Words
from training.secure_aggregation.roster import Enrolment


@dataclass(frozen=True, slots=True)
class Advertising:
    """Stage 0 goes on. received: by number of the client, here and below."""

    enrolment: Enrolment
    received: Mapping[int, Advertisement]


@dataclass(frozen=True, slots=True)
class Sharing:
    """Stage 1 goes on. roster: the keys, by ascending number; roster_digest: see `roster.roster_digest`."""

    enrolment: Enrolment
    roster: Mapping[int, Advertisement]
    roster_digest: bytes
    received: Mapping[int, SealedShares]


@dataclass(frozen=True, slots=True, eq=False)
class Masking:
    """Stage 2 goes on.

    commitments: of those who shared, by ascending number.
    total: of the words received so far.
    received: SHA-256 of each message.
    """

    shared: Sharing
    commitments: Mapping[int, bytes]
    total: Words
    received: Mapping[int, bytes]

    @property
    def enrolment(self) -> Enrolment:
        """Of the round."""
        return self.shared.enrolment


@dataclass(frozen=True, slots=True)
class Agreeing:
    """The first half of stage 3 goes on. survivors: ascending; received: signatures; text: what they are of."""

    masked: Masking
    survivors: tuple[int, ...]
    text: bytes
    received: Mapping[int, bytes]

    @property
    def enrolment(self) -> Enrolment:
        """Of the round."""
        return self.masked.enrolment


@dataclass(frozen=True, slots=True)
class Uncovering:
    """The second half of stage 3 goes on. signers: who agreed."""

    agreed: Agreeing
    signers: frozenset[int]
    received: Mapping[int, Unmasking]

    @property
    def enrolment(self) -> Enrolment:
        """Of the round."""
        return self.agreed.enrolment
