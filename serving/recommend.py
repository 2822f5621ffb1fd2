"""From a request to a ranked list: the pipeline, as functions of values. It does no I/O and knows no HTTP."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.blend import blended_query
from feature_store.query_tower import Context
from serving.candidates import NOTHING, Candidates, Source
from serving.model import ServingModel
from serving.profile import Profile, profile_of
from serving.request import Person, PrivacyTier, RecommendationRequest
from serving.shelf import Added, Shelf


class RankedItem(NamedTuple):
    """One item of a reply.

    score: comparable within one source and one reply only.
    rank: from 1.
    """

    item_id: str
    score: float
    rank: int
    source: Source


@dataclass(frozen=True, slots=True)
class RankedList:
    """What a request is answered with.

    items: best first, all different; fewer than k only where fewer are eligible.
    model_id: the checkpoint behind every item and score of it.
    degraded: what was missing: "store-unavailable", "popularity-fallback", "vertical-unknown",
        "context-unknown".
    unknown_items: different items of the session and of the exclusions that the checkpoint does not know.
    """

    items: tuple[RankedItem, ...]
    model_id: str
    privacy_tier: PrivacyTier
    degraded: tuple[str, ...]
    unknown_items: int


def recommend(request: RecommendationRequest, person: Person | None, model: ServingModel) -> RankedList:
    """Answer a request; arguments and errors as `serving.profile.profile_of` has them."""
    profile = profile_of(request, person, model)
    shelf = model.shelf(request.vertical)
    candidates = NOTHING if shelf is None else _candidates(request, profile, model, shelf)
    item_ids = model.checkpoint.vocabulary.item_ids
    ranked = zip(candidates.rows.tolist(), candidates.scores.tolist(), strict=True)
    return RankedList(
        items=tuple(
            RankedItem(item_ids[row], score, rank, candidates.source) for rank, (row, score) in enumerate(ranked, 1)
        ),
        model_id=model.model_id,
        privacy_tier=request.privacy_tier,
        degraded=(
            *profile.degraded,
            *(() if shelf else ("vertical-unknown",)),
            *(("context-unknown",) if _unknown_context(request, model) else ()),
        ),
        unknown_items=_unknown_items(request, model),
    )


def _candidates(request: RecommendationRequest, profile: Profile, model: ServingModel, shelf: Shelf) -> Candidates:
    excluded = profile.hidden_rows
    if request.exclude_item_ids:
        excluded = np.union1d(excluded, model.checkpoint.vocabulary.known_rows(request.exclude_item_ids))
    if profile.vector is None:
        return shelf.most_popular(request.k, excluded)
    query = blended_query(_in_context(profile.vector, request, model), profile.known, model.checkpoint.manifest.blend)
    source: Source = "blended" if query[-1] > 0 else "personal"
    return shelf.closest(query, request.k, excluded, source, _added(profile, model, np.float32(1) - query[-1]))


def _in_context(vector: Float32Array, request: RecommendationRequest, model: ServingModel) -> Float32Array:
    """The person's vector in the context of the request, the placement's vertical included; as it is without either."""
    tower = model.checkpoint.query_tower
    if tower is None:
        return vector
    placed: Context = {"vertical": request.vertical} if request.vertical is not None else {}
    return tower.query(vector, {**(request.context or {}), **placed})


def _unknown_context(request: RecommendationRequest, model: ServingModel) -> bool:
    """Whether the model makes nothing of a value that the request gives."""
    if not request.context:
        return False
    tower = model.checkpoint.query_tower
    return tower is None or bool(tower.unknown(request.context))


def _added(profile: Profile, model: ServingModel, personal_share: np.float32) -> Added | None:
    """What the items met add to the scores of others; nothing where a vector came without them."""
    if model.item_item is None or not profile.known:
        return None
    return Added(model.item_item.rows, personal_share * model.item_item.added([profile.met_rows])[0])


def _unknown_items(request: RecommendationRequest, model: ServingModel) -> int:
    sent = {*(request.session_item_ids or ()), *request.exclude_item_ids}
    return sum(item_id not in model.checkpoint.vocabulary for item_id in sent)
