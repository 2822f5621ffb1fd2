"""What is asked for, and what is known of the person who asks: the values that the pipeline starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from feature_store.arrays import Float32Array
from feature_store.embedding import UserEmbedding
from feature_store.met import MetItems
from feature_store.query_tower import Context
from feature_store.social_graph import Relation
from feature_store.vector_noise import NoiseSettings
from serving.errors import Fault, RequestRefused
from serving.placements.conditions import Condition

PrivacyTier: TypeAlias = Literal["edge-cell", "ephemeral", "anonymous"]


@dataclass(frozen=True, slots=True, eq=False)
class RecommendationRequest:
    """A request for items, whatever way it came in.

    k: how many items, at least 1.
    user_id: whose stored history counts; never together with a vector.
    session_item_ids: what the person met just now; counts for this reply and is not kept.
    query_vector: float32, shape (dim,), folded in by the person's own device; used in memory for this reply only.
    checkpoint_id: the checkpoint that the vector belongs to; there if and only if the vector is.
    noise: what the person's own device states to have noised the vector by; nothing here depends on it.
    exclude_item_ids: items that must not come back.
    filters: what the items must be besides; see `serving.placements.conditions`.
    like_item_id: the item to which similar ones are asked for.
    explain: whether each item comes with the reasons why it stands there.
    diversity: from 0 to 1, in place of the placement's; None leaves that.
    context: the hour, weekday and device class of who asks; None, and an empty one, leave the person's vector as it is.
    attributes: what ads may be meant for, such as region -> DE; used for this reply only.

    Raises:
        RequestRefused: the parts do not go together.
    """

    k: int
    user_id: str | None = None
    session_item_ids: tuple[str, ...] | None = None
    query_vector: Float32Array | None = None
    checkpoint_id: str | None = None
    noise: NoiseSettings | None = None
    exclude_item_ids: tuple[str, ...] = ()
    filters: Condition = field(default_factory=dict)
    like_item_id: str | None = None
    diversity: float | None = None
    explain: bool = False
    context: Context | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = []
        if self.query_vector is not None:
            if self.user_id is not None:
                faults.append(Fault("#/query_vector", "a vector is sent without an identity; leave out user_id"))
            if self.session_item_ids is not None:
                faults.append(Fault("#/query_vector", "a vector holds the session already; leave out session_events"))
            if self.checkpoint_id is None:
                faults.append(Fault("#/checkpoint_id", "a vector names the checkpoint that it was folded in on"))
        elif self.checkpoint_id is not None:
            faults.append(Fault("#/checkpoint_id", "only a query_vector belongs to a checkpoint"))
        if self.noise is not None and self.query_vector is None:
            faults.append(Fault("#/noise", "only a query_vector is noised"))
        if faults:
            raise RequestRefused(faults)

    @property
    def privacy_tier(self) -> PrivacyTier:
        """Where what this request is answered from rests."""
        if self.user_id is not None:
            return "edge-cell"
        if self.query_vector is not None or self.session_item_ids is not None:
            return "ephemeral"
        return "anonymous"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the social graph says of who asks. People are named as the authors of posts are.

    person: who asks; the empty text for nobody in particular, who has no ties.
    hidden: of whom the person may see nothing.
    follows, friends: whom the person follows, and is friends with.
    asked: how many of them were asked what they have met.
    met: item id -> how many of those have met it.
    met_unread: whether what they have met was wanted and could not be read; the ties hold all the same.
    """

    person: str = ""
    hidden: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()
    friends: frozenset[str] = frozenset()
    asked: int = 0
    met: Mapping[str, int] = field(default_factory=dict)
    met_unread: bool = False

    def relation(self, other: str) -> Relation:
        """What the person is to that other."""
        return Relation(other in self.follows, other in self.friends, hidden=other in self.hidden)


NOBODY = Neighbours()
"""Of who asks without an identity: what is public can be seen."""


class Person(NamedTuple):
    """What the local stores hold of one person, as far as a reply needs it.

    met: None where the store did not answer; the social graph may have, for all that.
    embedding: the one for the checkpoint that answers, where there is one; it may be out of date.
    neighbours: None where the social graph was not asked, or did not answer.
    """

    met: MetItems | None
    embedding: UserEmbedding | None
    neighbours: Neighbours | None = None
