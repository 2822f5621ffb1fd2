"""Clicked: what is popular as long as there is no model to say it, by what this server was told lately.

First what was clicked, the more often the earlier, as the feedback on items counts it (`serving.feedback`: of this
server and tenant, halved with time); then all the rest, the newest first. Catalogues keep no counts themselves.
"""

import numpy as np

from serving.candidates import Candidates
from serving.placements.settings import DEEPEST
from serving.sources.asked import Asked
from serving.sources.graph import newest_first


def clicked(asked: Asked, depth: int) -> Candidates:
    """The best of what is eligible; the score is what its clicks still count, 0 of what was never clicked.

    Of the `DEEPEST` items alone of which something was heard last are clicks looked up: that bounds what it costs.
    """
    view, assortment = asked.view, asked.view.assortment
    heard = assortment.places(view.feedback.latest(DEEPEST))
    clicks = np.zeros(len(assortment))
    clicks[heard] = view.feedback.counts([assortment.item_id(place) for place in heard.tolist()], view.now).clicks
    newest = newest_first(view, np.flatnonzero(asked.eligible).astype(np.int32))
    best = newest[np.argsort(-clicks[newest], kind="stable")[:depth]]
    return Candidates(best, clicks[best].astype(np.float32), "popular")
