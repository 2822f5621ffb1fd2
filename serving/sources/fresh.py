"""Fresh: what has appeared lately or is not in the model yet; which of it people want is found out by showing it.

Thompson sampling (Thompson 1933; Chapelle and Li 2011, algorithm 2). Of each item the rate of clicks is drawn from what
is believed of it,

    Beta(prior clicks + clicks, prior shows − prior clicks + shows − clicks)

and the items come in the order of what was drawn. An item that nobody was shown has a wide belief and sometimes comes
first; one that many were shown and few clicked has a narrow one and hardly ever does.
"""

import math

import numpy as np

from feature_store.arrays import Float64Array, Int32Array
from feature_store.compiled import compiled_for, read, written
from serving.candidates import Candidates
from serving.placements.settings import DEEPEST, FreshSource
from serving.sources.asked import Asked

_CHANCE = 1  # tells what is drawn here from what is drawn elsewhere by the same seed
_WEYL = np.uint64(0x9E3779B97F4A7C15)


@compiled_for(np.uint64, read(np.float64), read(np.float64), written(np.float64))
def _draw_unclicked(seed: np.uint64, clicks: Float64Array, others: Float64Array, rates: Float64Array) -> None:
    """Draw from Beta(1, others) for each with one click, which is the prior's; rates: written, shape (n,).

    The distribution function is 1 − (1 − x)^b, which a uniform number is put through backwards. The numbers are those
    of SplitMix64 (Steele, Lea and Flood 2014, figure 13), one for each place in the order.
    """
    for one in range(len(rates)):
        seed += _WEYL
        mixed = (seed ^ (seed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        uniform = np.float64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
        if clicks[one] == 1.0:
            rates[one] = -math.expm1(math.log1p(-uniform) / others[one])


def fresh(asked: Asked, settings: FreshSource, depth: int) -> Candidates:
    """Fresh items by a click rate drawn for each; the score is that rate. The same seed draws the same."""
    places = _fresh_places(asked, settings)
    counted = asked.view.feedback.counts_at(asked.view.assortment, places, asked.view.now)
    clicks = settings.prior_clicks + counted.clicks
    rates = _drawn(asked.view.seed, clicks, settings.prior_shows + counted.shows - clicks)
    best = np.argsort(-rates)[:depth]
    return Candidates(places[best], rates[best].astype(np.float32), "fresh")


def _drawn(seed: int, clicks: Float64Array, others: Float64Array) -> Float64Array:
    """One number from each Beta(clicks, others), shape (n,); seed: of 128 bits."""
    rates = np.empty(len(clicks))
    _draw_unclicked(np.uint64((seed ^ seed >> 64) + _CHANCE & 2**64 - 1), clicks, others, rates)
    general = np.flatnonzero(clicks != 1)
    if len(general):
        rates[general] = np.random.default_rng([seed, _CHANCE]).beta(clicks[general], others[general])
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
