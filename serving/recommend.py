"""From a request to a ranked list: the pipeline, as functions of values. It does no I/O and knows no HTTP.

profile → eligible places → sources → ranking → arranging → reply
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.blend import blended_query
from feature_store.query_tower import Context
from serving.ads.terms import Terms
from serving.arranging.arrange import Arranged, arrange
from serving.candidates import Source
from serving.eligibility import eligible_places
from serving.model import ServingModel
from serving.placements.conditions import unknown_fields
from serving.placements.settings import Diversity
from serving.profile import Profile, profile_of
from serving.ranking import Ranked, rank
from serving.reasons import Reason, reasons_of
from serving.request import Person, PrivacyTier, RecommendationRequest
from serving.shelf import Added
from serving.sources.asked import Asked, Query
from serving.sources.beside import others, promoted
from serving.sources.graph import with_friends
from serving.sources.propose import propose
from serving.view import View


class RankedItem(NamedTuple):
    """One item of a reply.

    score: comparable within one source and one reply only; None of what the model does not know.
    rank: from 1.
    ad: of an ad, what is bid and what it costs.
    reasons: why it stands there, where that was asked for.
    """

    item_id: str
    score: float | None
    rank: int
    source: Source
    ad: Terms | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class RankedList:
    """What a request is answered with.

    items: best first, all different; fewer than k only where fewer are eligible under the placement's caps.
    model_id: the checkpoint behind every item and score of it; None before there is a model.
    degraded: what was missing: "no-model", "store-unavailable", "popularity-fallback", "vertical-unknown",
        "condition-unknown", "context-unknown", "ads-unavailable", "graph-unavailable", "friends-unavailable",
        "catalogue-stale".
    unknown_items: different items of the session and of the exclusions that nobody here knows.
    """

    items: tuple[RankedItem, ...]
    model_id: str | None
    privacy_tier: PrivacyTier
    degraded: tuple[str, ...]
    unknown_items: int


def recommend(request: RecommendationRequest, person: Person | None, view: View) -> RankedList:
    """Answer a request; arguments and errors as `serving.profile.profile_of` has them."""
    asked = asked_of(request, person, view)
    arranged = _listed(asked)
    reasons = reasons_of(asked, arranged) if request.explain else [()] * len(arranged)
    items = (
        RankedItem(
            view.assortment.item_id(one.place),
            one.value if np.isfinite(one.value) else None,
            rank,
            one.source,
            reasons=reasons[rank - 1],
        )
        for rank, one in enumerate(arranged, 1)
    )
    return listed(asked, tuple(items))


def asked_of(request: RecommendationRequest, person: Person | None, view: View) -> Asked:
    """The question to all sources of a placement; arguments and errors as `serving.profile.profile_of` has them."""
    profile = profile_of(request, person, view.model)
    return Asked(view, request, profile, _query(request, profile, view), eligible_places(view, request, profile))


def listed(asked: Asked, items: tuple[RankedItem, ...]) -> RankedList:
    """Those items as the answer, with what was missing."""
    request, view = asked.request, asked.view
    return RankedList(
        items=items,
        model_id=None if view.model is None else view.model.model_id,
        privacy_tier=request.privacy_tier,
        degraded=(
            *asked.profile.degraded,
            *(() if len(view.assortment) else ("vertical-unknown",)),
            *(("condition-unknown",) if _unknown_condition(view) else ()),
            *(("context-unknown",) if _unknown_context(request, view.model) else ()),
            *_lost_of_graph(asked),
            *(("catalogue-stale",) if view.assortment.is_stale else ()),
        ),
        unknown_items=_unknown_items(request, view),
    )


def _lost_of_graph(asked: Asked) -> tuple[str, ...]:
    neighbours = asked.profile.neighbours
    if neighbours is None:
        return ("graph-unavailable",) if asked.view.placement.uses_graph else ()
    return ("friends-unavailable",) if neighbours.met_unread else ()


def _listed(asked: Asked) -> Sequence[Arranged]:
    """As many as are asked for: from few candidates where these do, else from all that are eligible."""
    k, sources = asked.request.k, asked.view.placement.sources
    by_rules = promoted(asked)
    proposed = [propose(asked, source, max(source.depth, k)) for source in sources]
    arranged = _arranged(asked, rank(asked, proposed, by_rules))
    if len(arranged) < k and len(arranged) < (eligible := int(np.count_nonzero(asked.eligible))):
        proposed = [propose(asked, source, eligible) for source in sources]
        arranged = _arranged(asked, rank(asked, proposed, by_rules, others(asked)))
    return arranged


def _arranged(asked: Asked, ranked: Ranked) -> Sequence[Arranged]:
    return arrange(asked, ranked, asked.request.k, _diversity(asked))


def _diversity(asked: Asked) -> Diversity | None:
    """That of the placement, by the weight that the request asks for, if any."""
    settings, weight = asked.view.placement.diversity, asked.request.diversity
    if weight is None:
        return settings
    return Diversity(method=settings.method if settings else "mmr", weight=weight)


def _query(request: RecommendationRequest, profile: Profile, view: View) -> Query | None:
    if profile.vector is None or view.model is None:
        return None
    vector = _in_context(profile.vector, request, view.model, view.placement.vertical)
    query = blended_query(vector, profile.known, view.model.checkpoint.manifest.blend)
    added = _added(profile, view.model, np.float32(1) - query[-1])
    return Query(query, with_friends(added, profile.neighbours, view))


def _in_context(
    vector: Float32Array, request: RecommendationRequest, model: ServingModel, vertical: str | None
) -> Float32Array:
    """The person's vector in the context of the request, the placement's vertical included; as it is without either."""
    tower = model.checkpoint.query_tower
    if tower is None:
        return vector
    placed: Context = {"vertical": vertical} if vertical is not None else {}
    return tower.query(vector, {**(request.context or {}), **placed})


def _unknown_condition(view: View) -> bool:
    """Whether the placement shows only what has some field, and nothing that there is has it."""
    return bool(view.placement.where and len(view.assortment) and unknown_fields(view.placement.where, view.assortment))


def _unknown_context(request: RecommendationRequest, model: ServingModel | None) -> bool:
    """Whether the model makes nothing of a value that the request gives."""
    if not request.context or model is None:
        return False
    tower = model.checkpoint.query_tower
    return tower is None or bool(tower.unknown(request.context))


def _added(profile: Profile, model: ServingModel, personal_share: np.float32) -> Added | None:
    """What the items met add to the scores of others; nothing where a vector came without them."""
    if model.item_item is None or not profile.known:
        return None
    return Added(model.item_item.rows, personal_share * model.item_item.added([profile.met_rows])[0])


def _unknown_items(request: RecommendationRequest, view: View) -> int:
    sent = {*(request.session_item_ids or ()), *request.exclude_item_ids}
    vocabulary = () if view.model is None else view.model.checkpoint.vocabulary
    return sum(item_id not in vocabulary and item_id not in view.assortment for item_id in sent)
