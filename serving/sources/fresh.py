"""Fresh: what has appeared lately or is not in the model yet; which of it people want is found out by showing it.

Thompson sampling (Thompson 1933; Chapelle and Li 2011, algorithm 2). Of each item the rate of clicks is drawn from what
is believed of it,

    Beta(prior clicks + clicks, prior shows − prior clicks + shows − clicks)

and the items come in the order of what was drawn. An item that nobody was shown has a wide belief and sometimes comes
first; one that many were shown and few clicked has a narrow one and hardly ever does.
"""

import numpy as np

from feature_store.arrays import Float64Array, Int32Array
from serving.candidates import Candidates
from serving.placements.settings import DEEPEST, FreshSource
from serving.sources.asked import Asked

_CHANCE = 1  # tells what is drawn here from what is drawn elsewhere by the same seed


def fresh(asked: Asked, settings: FreshSource, depth: int) -> Candidates:
    """Fresh items by a click rate drawn for each; the score is that rate. The same seed draws the same."""
    places = _fresh_places(asked, settings)
    counted = asked.view.feedback.counts(
        [asked.view.assortment.item_id(place) for place in places.tolist()], asked.view.now
    )
    rates = np.random.default_rng([asked.view.seed, _CHANCE]).beta(
        settings.prior_clicks + counted.clicks,
        settings.prior_shows - settings.prior_clicks + counted.shows - counted.clicks,
    )
    best = np.argsort(-rates, kind="stable")[:depth]
    return Candidates(places[best], rates[best].astype(np.float32), "fresh")


def _fresh_places(asked: Asked, settings: FreshSource) -> Int32Array:
    """The latest of them, at most `DEEPEST`: that bounds what a request costs."""
    assortment = asked.view.assortment
    places = np.flatnonzero(asked.eligible).astype(np.int32)
    appeared: Float64Array = assortment.appeared[places]
    unknown = places >= assortment.known
    if settings.max_age_hours is None:
        is_fresh = unknown
    else:
        is_fresh = appeared > asked.view.now - 3600.0 * settings.max_age_hours
        is_fresh |= unknown & np.isnan(appeared)  # nobody said since when; it came after the model was trained
    places, appeared = places[is_fresh], appeared[is_fresh]
    if len(places) > DEEPEST:
        # Of those without a time, the later came later to the catalogue too.
        latest = np.lexsort((places, np.nan_to_num(appeared, nan=-np.inf)))[-DEEPEST:]
        places = places[np.sort(latest)]
    return places
