"""Pinned: what an editor has chosen, in that order."""

import numpy as np

from serving.candidates import Candidates
from serving.placements.settings import PinnedSource
from serving.sources.asked import Asked


def pinned(asked: Asked, settings: PinnedSource) -> Candidates:
    """Those of the editor's items that are eligible now; the score counts down to 1."""
    found = (asked.view.assortment.place(item_id) for item_id in dict.fromkeys(settings.items))
    places = np.array([place for place in found if place is not None and asked.eligible[place]], np.int32)
    return Candidates(places, np.arange(len(places), 0, -1, dtype=np.float32), "pinned")
