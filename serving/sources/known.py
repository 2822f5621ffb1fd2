"""The sources that the model knows: what is closest to the person, what is popular, what is like another item."""

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.candidates import Candidates, Source, best_of, nothing
from serving.shelf import Shelf
from serving.sources.asked import Asked
from serving.sources.clicked import clicked


def personal(asked: Asked, depth: int) -> Candidates:
    """What is closest to the person; where nothing is known of one, what is popular."""
    shelf = asked.view.assortment.shelf
    if asked.query is None and (shelf is not None or asked.view.model is None):
        return popular(asked, depth)
    if shelf is None or asked.query is None:
        return nothing("personal")
    source: Source = "blended" if asked.query.is_blended else "personal"
    return shelf.closest(asked.query.vector, depth, _on(shelf, asked), source, asked.query.added)


def popular(asked: Asked, depth: int) -> Candidates:
    """What most people met; as long as there is no model, what was clicked lately."""
    if asked.view.model is None:
        return clicked(asked, depth)
    shelf = asked.view.assortment.shelf
    return nothing("popular") if shelf is None else shelf.most_popular(depth, _on(shelf, asked))


def similar(asked: Asked, depth: int) -> Candidates:
    """What goes with the item asked about: first what is met together with it, then what is like it.

    Where none is asked about, with what the session holds, else with all that was met; nothing where the model knows
    none. Scores above 1 are of what is met together: 1 and the sum of the checkpoint's item-item weights, where that is
    above 0. Others are the cosines of the items' own vectors.
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
    eligible = _on(shelf, asked).copy()
    eligible[anchors] = False
    places = np.flatnonzero(eligible).astype(np.int32)
    together = _together(asked, shelf, anchors)[places]
    likeness = np.where(together > 0, 1 + together, shelf.cosines(anchors, places))
    return best_of(places, likeness.astype(np.float32), depth, "similar")


def _together(asked: Asked, shelf: Shelf, anchors: Int32Array) -> Float32Array:
    """What having met the anchors adds to the score of each item of the shelf, shape (n,); 0 without such weights."""
    added = np.zeros(len(shelf.rows), np.float32)
    weights = None if asked.view.model is None else asked.view.model.item_item
    if weights is not None:
        on_shelf = np.isin(weights.rows, shelf.rows)
        added[shelf.places(weights.rows)] = weights.added([shelf.rows[anchors]])[0][on_shelf]
    return added


def scores(asked: Asked, places: Int32Array) -> Float32Array:
    """What the person's own source would score those places of the model's items, shape (n,)."""
    shelf = asked.view.assortment.shelf
    if shelf is None:
        return np.empty(0, np.float32)
    if asked.query is None:
        return shelf.popular.counts[places]
    return shelf.score(asked.query.vector, places, asked.query.added)


def _on(shelf: Shelf, asked: Asked) -> BoolArray:
    """Which of the shelf may be proposed."""
    return asked.eligible[: len(shelf.rows)]
