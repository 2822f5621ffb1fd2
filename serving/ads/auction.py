"""The auction: ads by what a thousand shows of each would bring, and what the next one makes a click cost.

    eCPM = bid * pCTR * 1000
    price = bid_next * pCTR_next / pCTR and one micro, the least that stays ahead; from the reserve to the bid

This is the generalised second price (Edelman, Ostrovsky and Schwarz 2007), with click rates as in Varian 2007,
section 3. The next is the ad that comes next in the list: one that a cap of the list, or of the
person, keeps out of it does not raise a price.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from feature_store.currencies import MICROS
from serving.ads.calibration import LEAST, MOST
from serving.ads.market import Market
from serving.ads.settings import AdsSettings
from serving.sources.asked import Asked
from serving.sources.known import scores


class Bids(NamedTuple):
    """The ads that take part, by falling eCPM; of equal ones as the catalogue has them.

    rows: of the market's ads, shape (n,).
    bids: micros for a click.
    click_rates: within 0 and 1.
    """

    rows: Int32Array
    bids: Int64Array
    click_rates: Float64Array

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def values(self) -> Float64Array:
        """The eCPM of each, in units of the currency, shape (n,), never rising."""
        return self.bids * self.click_rates * (1000 / MICROS)


def ranked_bids(asked: Asked, settings: AdsSettings, market: Market, takes_part: BoolArray) -> Bids:
    """Those that take part, the best first.

    takes_part: of the market's ads, shape (ads,).
    """
    rows = np.flatnonzero(takes_part).astype(np.int32)
    click_rates = click_rates_of(asked, settings, market, rows)
    bids = market.ads.bids[rows]
    order = np.argsort(-(bids * click_rates), kind="stable")
    return Bids(rows[order], bids[order], click_rates[order])


def click_rates_of(asked: Asked, settings: AdsSettings, market: Market, rows: Int32Array) -> Float64Array:
    """The pCTR of those ads, shape (n,): calibrated, or each ad's own smoothed rate.

    A calibration of the model's scores says nothing of an ad that the model does not know, nor for a person of whom
    nothing is known: these have the ad's own rate.
    """
    calibration, clicks, shows = market.calibration, market.clicks[rows], market.shows[rows]
    if calibration is not None and calibration.of == "rate":
        own = smoothed(clicks, shows, calibration.prior_clicks, calibration.prior_shows)
        return calibration.click_rates(own)
    rates = smoothed(clicks, shows, settings.prior_clicks, settings.prior_shows)
    if calibration is None:
        return rates
    places = market.ads.places[rows]
    known = places < asked.view.assortment.known
    if asked.query is not None and known.any():
        rates[known] = calibration.click_rates(scores(asked, places[known]).astype(np.float64))
    return rates


def smoothed(clicks: Float64Array, shows: Float64Array, prior_clicks: float, prior_shows: float) -> Float64Array:
    """The mean of Beta(prior_clicks + clicks, prior_shows - prior_clicks + shows - clicks), shape (n,)."""
    rates = (prior_clicks + clicks) / (prior_shows + np.maximum(shows, clicks))
    return np.clip(rates, LEAST, MOST)


def price(bid: int, click_rate: float, following: tuple[int, float] | None, reserve: int) -> int:
    """What a click costs, in micros, from the reserve to the bid.

    following: bid and click rate of the ad that comes next; None where there is none.
    reserve: at most the bid.
    """
    least = reserve
    if following is not None:
        least = max(least, int(following[0] * following[1] / click_rate) + 1)
    return min(least, bid)
