"""Visibility: whose posts may be shown to whom. Blocks and mutes hide an author; a post says itself who may see it."""

import numpy as np

from feature_store.arrays import BoolArray
from feature_store.item_schemas import Visibility
from feature_store.social_graph import may_see
from serving.assortment.assortment import Assortment
from serving.assortment.columns import NO_NAME
from serving.request import Neighbours

_CLOSED: tuple[Visibility, ...] = ("followers", "private")


def visible_places(assortment: Assortment, neighbours: Neighbours) -> BoolArray:
    """What that person may see, by `feature_store.social_graph.may_see`: shape (places,), a new array.

    What has no author anybody may see, unless it says that it is for some; then nobody may.
    """
    visible = np.ones(len(assortment), np.bool_)
    authors, levels = assortment.names("author"), assortment.names("visibility")
    if authors is not None:
        visible[authors.places(neighbours.hidden)] = False
    if levels is not None:
        # Without a tie nothing of these levels is seen: only those with one, and the person's own, have to be asked.
        tied = {neighbours.person, *neighbours.follows, *neighbours.friends}
        for level in _CLOSED:
            code = levels.code(level)
            closed = (levels.first == code) & (code != NO_NAME)
            if authors is not None:
                seen = (one for one in tied if may_see(neighbours.person, one, level, neighbours.relation(one)))
                closed[authors.places(seen)] = False
            visible &= ~closed
    return visible
