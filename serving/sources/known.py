"""The sources that the model knows: what is closest to the person, what is popular, what is like another item."""

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.candidates import Candidates, Source, best_of, nothing
from serving.shelf import Shelf
from serving.sources.asked import Asked


def personal(asked: Asked, depth: int) -> Candidates:
    """What is closest to the person; where nothing is known of one, what is popular."""
    shelf = asked.view.assortment.shelf
    if shelf is None:
        return nothing("personal")
    if asked.query is None:
        return popular(asked, depth)
    source: Source = "blended" if asked.query.is_blended else "personal"
    return shelf.closest(asked.query.vector, depth, _on(shelf, asked), source, asked.query.added)


def popular(asked: Asked, depth: int) -> Candidates:
    """What most people met."""
    shelf = asked.view.assortment.shelf
    return nothing("popular") if shelf is None else shelf.most_popular(depth, _on(shelf, asked))


def similar(asked: Asked, depth: int) -> Candidates:
    """What is closest, by the cosine of the items' own vectors, to the item asked about.

    Where none is asked about, to what the session holds, else to all that was met; nothing where the model knows none.
    """
    assortment, shelf = asked.view.assortment, asked.view.assortment.shelf
    if shelf is None:
        return nothing("similar")
    request = asked.request
    about = (request.like_item_id,) if request.like_item_id else request.session_item_ids or asked.profile.met_ids
    anchors = assortment.places(about)
    anchors = anchors[anchors < assortment.known]
    if not len(anchors):
        return nothing("similar")
    eligible = _on(shelf, asked)
    eligible[anchors] = False
    places = np.flatnonzero(eligible).astype(np.int32)
    return best_of(places, shelf.cosines(anchors, places), depth, "similar")


def scores(asked: Asked, places: Int32Array) -> Float32Array:
    """What the person's own source would score those places of the model's items, shape (n,)."""
    shelf = asked.view.assortment.shelf
    if shelf is None:
        return np.empty(0, np.float32)
    if asked.query is None:
        return shelf.popular.counts[places]
    return shelf.score(asked.query.vector, places, asked.query.added)


def _on(shelf: Shelf, asked: Asked) -> BoolArray:
    """Which of the shelf may be proposed, a new array."""
    return asked.eligible[: len(shelf.rows)].copy()
