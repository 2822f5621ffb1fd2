"""What a source is asked: who asks, for what, and which items may be proposed."""

from dataclasses import dataclass

from feature_store.arrays import BoolArray, Float32Array
from serving.profile import Profile
from serving.request import RecommendationRequest
from serving.shelf import Added
from serving.view import View


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What the model's items are scored by.

    vector: as long as the shelf's vectors; its last number weighs popularity (`feature_store.blend`).
    added: what the items met add to the scores of others.
    """

    vector: Float32Array
    added: Added | None

    @property
    def is_blended(self) -> bool:
        """Whether popularity has a part in it."""
        return bool(self.vector[-1] > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One question to all sources of a placement.

    query: None where nothing personal is known.
    eligible: which places may be proposed, shape (places,).
    """

    view: View
    request: RecommendationRequest
    profile: Profile
    query: Query | None
    eligible: BoolArray
