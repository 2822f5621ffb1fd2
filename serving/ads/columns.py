"""The ads of an assortment, as columns: made once for each state of it, and looked at by each request."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from feature_store.ad_counters import Budget, Cap
from feature_store.arrays import BoolArray, Int32Array, Int64Array
from feature_store.currencies import LARGEST_MICROS, micros
from feature_store.item_schemas import Ad
from serving.assortment.assortment import Assortment

SAFETY = ("general", "sensitive", "restricted")
"""Classes that somebody has rated, the most harmless first."""

_SHORTEST_WINDOW = 1.0  # seconds; what the counters take


@dataclass(frozen=True, slots=True, eq=False)
class AdColumns:
    """The ads that a catalogue has; all arrays have shape (n,).

    places: in the assortment, ascending.
    ads, rows: their ids, and where each is.
    bids: micros for a click.
    campaigns, campaign: the ids, and of each ad which of them pays.
    budgets: of each ad's campaign, as the ad says it; -1 in `daily` where there is none.
    safety: place in `SAFETY`; behind all of them what is unrated or unknown.
    currencies, currency: the codes, and of each ad which it is in.
    caps: ad -> how often one person may see it.
    targets: indices -> the values that a request may have.
    """

    places: Int32Array
    ads: tuple[str, ...]
    rows: Mapping[str, int]
    bids: Int64Array
    campaigns: tuple[str, ...]
    campaign: Int32Array
    budgets: tuple[Budget, ...]
    daily: Int64Array
    total: Int64Array
    safety: Int32Array
    currencies: tuple[str, ...]
    currency: Int32Array
    caps: Mapping[int, Cap]
    targets: Mapping[int, Ad]

    def __len__(self) -> int:
        return len(self.ads)

    def in_currency(self, currency: str) -> BoolArray:
        """Which ads are in that currency."""
        code = self.currencies.index(currency) if currency in self.currencies else -1
        found: BoolArray = self.currency == code
        return found


def columns_of(assortment: Assortment) -> AdColumns:
    """Those of all ads that the catalogue has now."""
    found = [(place, item) for place in range(len(assortment)) if isinstance(item := assortment.item(place), Ad)]
    ads = [item for _, item in found]
    campaigns = tuple(dict.fromkeys(ad.pays_from for ad in ads))
    codes = {campaign: code for code, campaign in enumerate(campaigns)}
    currencies = tuple(dict.fromkeys(ad.currency for ad in ads))
    budgets = tuple(budget_of(ad) for ad in ads)
    return AdColumns(
        places=np.array([place for place, _ in found], np.int32),
        ads=tuple(ad.item_id for ad in ads),
        rows={ad.item_id: row for row, ad in enumerate(ads)},
        bids=np.array([micros(ad.bid) for ad in ads], np.int64),
        campaigns=campaigns,
        campaign=np.array([codes[ad.pays_from] for ad in ads], np.int32),
        budgets=budgets,
        daily=np.array([-1 if one.daily is None else one.daily for one in budgets], np.int64),
        total=np.array([LARGEST_MICROS if one.total is None else one.total for one in budgets], np.int64),
        safety=np.array([SAFETY.index(ad.safety) if ad.safety in SAFETY else len(SAFETY) for ad in ads], np.int32),
        currencies=currencies,
        currency=np.array([currencies.index(ad.currency) for ad in ads], np.int32),
        caps={
            row: Cap(ad.item_id, ad.frequency_cap, max(ad.frequency_hours * 3600.0, _SHORTEST_WINDOW))
            for row, ad in enumerate(ads)
            if ad.frequency_cap is not None
        },
        targets={row: ad for row, ad in enumerate(ads) if ad.targeting},
    )


def budget_of(ad: Ad) -> Budget:
    """What its campaign may spend, as the ad says it."""
    return Budget(
        None if ad.budget is None else micros(ad.budget), None if ad.daily_budget is None else micros(ad.daily_budget)
    )
