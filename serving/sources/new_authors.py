"""New authors: a share of lists for those of whom hardly anything has been met yet, so that there is a way in."""

import numpy as np

from serving.assortment.columns import NO_NAME
from serving.candidates import Candidates, nothing
from serving.placements.settings import NewAuthorsSource
from serving.sources.asked import Asked
from serving.sources.graph import newest_first


def new_authors(asked: Asked, settings: NewAuthorsSource, depth: int) -> Candidates:
    """Posts of authors of whom people have met fewer than so many; the score counts down to 1.

    First the newest post of each, the newest of them first; then the second newest of each, and so on: one author with
    many posts stands in nobody's way. Not the person's own. What was met, the model says: it is as old as that.
    """
    assortment = asked.view.assortment
    authors = assortment.names("author")
    if authors is None:
        return nothing("new_authors")
    codes = authors.first
    met = np.zeros(len(assortment), np.bool_)
    if assortment.shelf is not None:
        met[: assortment.known] = assortment.shelf.popular.counts > 0
    posts_met = np.bincount(codes[met & (codes != NO_NAME)], minlength=int(codes.max(initial=0)) + 1)
    is_new = asked.eligible & (codes != NO_NAME)
    is_new[is_new] = posts_met[codes[is_new]] < settings.fewer_than
    if asked.profile.neighbours is not None:
        is_new[authors.places([asked.profile.neighbours.person])] = False
    places = newest_first(asked.view, np.flatnonzero(is_new).astype(np.int32))
    by_author = np.argsort(codes[places], kind="stable")
    sorted_codes = codes[places][by_author]
    starts = np.searchsorted(sorted_codes, sorted_codes)
    turn = np.empty(len(places), np.int64)
    turn[by_author] = np.arange(len(places)) - starts  # 0 for an author's newest
    places = places[np.argsort(turn, kind="stable")][:depth]
    return Candidates(places, np.arange(len(places), 0, -1, dtype=np.float32), "new_authors")
