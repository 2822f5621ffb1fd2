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
    counted = asked.view.feedback.counts_at(asked.view.assortment, places, asked.view.now)
    rates = _drawn(
        np.random.default_rng([asked.view.seed, _CHANCE]),
        settings.prior_clicks + counted.clicks,
        settings.prior_shows - settings.prior_clicks + counted.shows - counted.clicks,
    )
    best = np.argsort(-rates)[:depth]
    return Candidates(places[best], rates[best].astype(np.float32), "fresh")


def _drawn(chance: np.random.Generator, clicks: Float64Array, others: Float64Array) -> Float64Array:
    """One number from each Beta(clicks, others), shape (n,).

    Of nearly all items nobody has clicked any, and a prior of one click leaves Beta(1, b): its distribution function is
    1 − (1 − x)^b, which a uniform number is put through backwards. That is ten times as fast as the general way.
    """
    rates: Float64Array = 1 - (1 - chance.random(len(clicks))) ** (1 / others)
    general = np.flatnonzero(clicks != 1)
    rates[general] = chance.beta(clicks[general], others[general])
    return rates


def _fresh_places(asked: Asked, settings: FreshSource) -> Int32Array:
    """The latest of them, at most `DEEPEST`: that bounds what a request costs."""
    assortment, known = asked.view.assortment, asked.view.assortment.known
    if settings.max_age_hours is None:
        places = (known + np.flatnonzero(asked.eligible[known:])).astype(np.int32)
    else:
        is_fresh = assortment.appeared > asked.view.now - 3600.0 * settings.max_age_hours
        is_fresh[known:] |= np.isnan(assortment.appeared[known:])  # nobody said since when; it came after the training
        places = np.flatnonzero(asked.eligible & is_fresh).astype(np.int32)
    if len(places) > DEEPEST:
        # Of those without a time, the later came later to the catalogue too.
        latest = np.lexsort((places, np.nan_to_num(assortment.appeared[places], nan=-np.inf)))[-DEEPEST:]
        places = places[np.sort(latest)]
    return places
