"""The profile: who asks, in the terms of one model. A vector to search with, and the items met already."""

from dataclasses import dataclass, field, replace

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.met import MetItems
from serving.errors import Fault, OtherCheckpoint, RequestRefused
from serving.model import ServingModel
from serving.request import NOBODY, Neighbours, Person, RecommendationRequest

_NO_ROWS: Int32Array = np.empty(0, dtype=np.int32)
_LARGEST_SCORE = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What personal retrieval needs.

    vector: float32, shape (dim,); None where there is nothing to be personal with.
    known: how many items it was folded in from; None where nobody says.
    met_rows: distinct rows of the items that it was folded in from, ascending.
    met_ids: the items met, those included that the model does not know.
    hidden_ids: what the person wants no more of.
    degraded: what was missing on the way here.
    neighbours: what the social graph says; None where it was not asked, or did not answer.
    """

    vector: Float32Array | None
    known: int | None
    met_rows: Int32Array = field(default_factory=lambda: _NO_ROWS)
    met_ids: tuple[str, ...] = ()
    hidden_ids: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    neighbours: Neighbours | None = NOBODY


def profile_of(request: RecommendationRequest, person: Person | None, model: ServingModel | None) -> Profile:
    """The profile that a request is answered with.

    Args:
        request: what is asked for.
        person: what is stored of request.user_id; None if there is no user id, or nothing of them could be read.
        model: the model that answers; None where there is none, and nobody is known by anything but what they met.

    Raises:
        OtherCheckpoint: the request's vector belongs to another checkpoint than the model's.
        RequestRefused: the request's vector cannot meet the model's items.
    """
    if request.query_vector is not None and model is not None:
        vector = _sent_vector(request.query_vector, request.checkpoint_id or "", model)
        return _popular_if_nought(Profile(vector, None))
    read = None if person is None else person.met
    met = MetItems() if read is None else read
    met_ids = (*met.item_ids, *(request.session_item_ids or ()))
    rows = _NO_ROWS if model is None else model.checkpoint.vocabulary.known_rows(met_ids)
    neighbours = NOBODY if request.user_id is None else None if person is None else person.neighbours
    lost = ("store-unavailable",) if request.user_id is not None and read is None else ()
    if model is not None and len(rows):
        vector = _folded_in(rows, request, person, model)
        return _popular_if_nought(Profile(vector, len(rows), rows, met_ids, met.disliked, lost, neighbours))
    if model is None:
        lost = ("no-model", *lost)
    elif request.privacy_tier != "anonymous" and not lost:
        lost = ("popularity-fallback",)
    return Profile(None, 0, rows, met_ids, met.disliked, lost, neighbours)


def _popular_if_nought(profile: Profile) -> Profile:
    """The profile; of the zero vector, to which all items are equal, no more than popular items come."""
    if profile.vector is None or profile.vector.any():
        return profile
    return replace(profile, vector=None, degraded=(*profile.degraded, "popularity-fallback"))


def _folded_in(
    rows: Int32Array, request: RecommendationRequest, person: Person | None, model: ServingModel
) -> Float32Array:
    """The stored embedding where it is this checkpoint's and of exactly this history; else folded in for this reply."""
    if person is not None and person.met is not None and person.embedding is not None and not request.session_item_ids:
        stored = person.embedding
        if stored.checkpoint_id == model.model_id and stored.watermark == person.met.watermark:
            return stored.for_checkpoint(model.model_id)
    return model.checkpoint.fold_in(rows).vector


def _sent_vector(vector: Float32Array, checkpoint_id: str, model: ServingModel) -> Float32Array:
    if checkpoint_id != model.model_id:
        raise OtherCheckpoint(checkpoint_id, model.model_id)
    if vector.shape != (model.dim,):
        detail = f"checkpoint {model.model_id} takes {model.dim} numbers; got {vector.size}"
        raise RequestRefused([Fault("#/query_vector", detail)])
    # By Cauchy and Schwarz no score, nor any partial sum of one, is larger than this product.
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not length * max(model.longest_item, 1.0) < _LARGEST_SCORE:
        raise RequestRefused([Fault("#/query_vector", "the vector is so long that scores would not be finite")])
    return vector
