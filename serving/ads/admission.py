"""Admission: which ads may take part in the auction of one reply. What is not known for certain is left out.

An ad takes part where it is eligible like any item of the placement (in flight, not hidden, as filters and rules say)
and, besides: its currency is the placement's; its class is as safe as the placement asks; it is meant for this request;
it bids the reserve; what its campaign has spent is known, and leaves room for a click at its bid; and its campaign is
not throttled.
"""

from collections.abc import Mapping

import numpy as np

from feature_store.arrays import BoolArray
from serving.ads.columns import SAFETY
from serving.ads.market import Market
from serving.ads.pacing import participation, takes_part
from serving.ads.settings import AdsSettings
from serving.request import RecommendationRequest
from serving.sources.asked import Asked


def admitted(asked: Asked, settings: AdsSettings, market: Market) -> BoolArray:
    """Which of the ads take part, shape (ads,)."""
    ads = market.ads
    if not market.is_open or not len(ads):
        return np.zeros(len(ads), np.bool_)
    result: BoolArray = asked.eligible[ads.places] & ads.in_currency(settings.currency)
    result &= ads.bids >= settings.reserve_micros
    if settings.safety != "any":
        result &= ads.safety <= SAFETY.index(settings.safety)
    result &= can_pay(market)
    if settings.pace != "off":
        result &= _unthrottled(asked, settings.pace, market)
    if asked.request.user_id is None and settings.uncounted == "hide":
        result[ads.capped] = False
    said = said_of(asked.request)
    for ad, rows in ads.targets:
        if not ad.reaches(said):
            result[rows] = False
    return result


def can_pay(market: Market) -> BoolArray:
    """For which ads the campaign can pay one more click at its bid, shape (ads,)."""
    ads = market.ads
    within_day = (ads.daily < 0) | (market.today + ads.bids <= ads.daily)
    return (market.total >= 0) & (market.today >= 0) & (market.total + ads.bids <= ads.total) & within_day


def said_of(request: RecommendationRequest) -> Mapping[str, str]:
    """What targeting is held against: the attributes of the request, and its context, which attributes never outdo."""
    return {**request.attributes, **dict((request.context or {}).items())}


def _unthrottled(asked: Asked, pace: float, market: Market) -> BoolArray:
    """Which are not held back now; ads of one campaign are so together."""
    ads = market.ads
    chances = np.zeros(len(ads.campaigns))
    chances[ads.campaign] = participation(ads.daily, np.maximum(market.today, 0), asked.view.now, pace)
    return takes_part(chances, asked.view.seed)[ads.campaign]
