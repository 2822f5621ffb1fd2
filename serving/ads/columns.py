"""The ads of an assortment, as columns: made once for each state of it, and looked at by each request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.ad_counters import Budget, Cap
from feature_store.arrays import BoolArray, Int32Array, Int64Array
from feature_store.currencies import LARGEST_MICROS, micros
from feature_store.item_schemas import Ad
from serving.ads.accounts import account_of
from serving.assortment.assortment import Assortment

SAFETY = ("general", "sensitive", "restricted")
"""Classes that somebody has rated, the most harmless first."""

_SHORTEST_WINDOW = 1.0  # seconds; what the counters take


class _Facts(NamedTuple):
    """What is worked out of one ad; costly, as money is exact."""

    ad: Ad
    bid: int
    budget: Budget
    safety: int
    cap: Cap | None
    campaign: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class AdColumns:
    """The ads that a catalogue has; all arrays have shape (n,).

    places: in the assortment, ascending.
    ads, rows, facts: their ids, where each is, and what is worked out of it.
    bids: micros for a click.
    campaigns, campaign: the accounts (`account_of`), and of each ad which of them pays.
    budgets: of each ad's campaign, as the ad says it; -1 in `daily` where there is none.
    safety: place in `SAFETY`; behind all of them what is unrated or unknown.
    currencies, currency: the codes, and of each ad which it is in.
    caps, capped: of those with a frequency cap, row -> the cap; and their rows.
    targets: each targeting that there is, as one of its ads has it, and the rows of all ads that have it.
    """

    places: Int32Array
    ads: tuple[str, ...]
    rows: Mapping[str, int]
    facts: Mapping[str, _Facts]
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
    capped: Int32Array
    targets: tuple[tuple[Ad, Int32Array], ...]

    def __len__(self) -> int:
        return len(self.ads)

    def in_currency(self, currency: str) -> BoolArray:
        """Which ads are in that currency."""
        code = self.currencies.index(currency) if currency in self.currencies else -1
        found: BoolArray = self.currency == code
        return found


def columns_of(assortment: Assortment, before: AdColumns | None = None) -> AdColumns:
    """Those of all ads that the catalogue has now.

    before: those of an earlier state; what it says of an ad that has not changed is taken over.
    """
    known = {} if before is None else before.facts
    facts: dict[str, _Facts] = {}
    places: list[int] = []
    for place in range(len(assortment)):
        item = assortment.item(place)
        if isinstance(item, Ad):
            found = known.get(item.item_id)
            facts[item.item_id] = found if found is not None and found.ad is item else _facts_of(item)
            places.append(place)
    all_facts = list(facts.values())
    campaigns = {campaign: code for code, campaign in enumerate(dict.fromkeys(one.campaign for one in all_facts))}
    currencies = {name: code for code, name in enumerate(dict.fromkeys(one.ad.currency for one in all_facts))}
    caps = {row: one.cap for row, one in enumerate(all_facts) if one.cap is not None}
    return AdColumns(
        places=np.array(places, np.int32),
        ads=tuple(facts),
        rows={ad: row for row, ad in enumerate(facts)},
        facts=facts,
        bids=np.array([one.bid for one in all_facts], np.int64),
        campaigns=tuple(campaigns),
        campaign=np.array([campaigns[one.campaign] for one in all_facts], np.int32),
        budgets=tuple(one.budget for one in all_facts),
        daily=np.array([-1 if one.budget.daily is None else one.budget.daily for one in all_facts], np.int64),
        total=np.array(
            [LARGEST_MICROS if one.budget.total is None else one.budget.total for one in all_facts], np.int64
        ),
        safety=np.array([one.safety for one in all_facts], np.int32),
        currencies=tuple(currencies),
        currency=np.array([currencies[one.ad.currency] for one in all_facts], np.int32),
        caps=caps,
        capped=np.array(list(caps), np.int32),
        targets=_targets([one.ad for one in all_facts]),
    )


def _facts_of(ad: Ad) -> _Facts:
    cap = None
    if ad.frequency_cap is not None:
        cap = Cap(ad.item_id, ad.frequency_cap, max(ad.frequency_hours * 3600.0, _SHORTEST_WINDOW))
    safety = SAFETY.index(ad.safety) if ad.safety in SAFETY else len(SAFETY)
    return _Facts(ad, micros(ad.bid), budget_of(ad), safety, cap, account_of(ad))


def _targets(ads: Sequence[Ad]) -> tuple[tuple[Ad, Int32Array], ...]:
    """Ads by their targeting: it is held against a request once for all that share it."""
    rows: dict[frozenset[tuple[str, tuple[str, ...]]], list[int]] = {}
    for row, ad in enumerate(ads):
        if ad.targeting:
            rows.setdefault(frozenset(ad.targeting.items()), []).append(row)
    return tuple((ads[same[0]], np.array(same, np.int32)) for same in rows.values())


def budget_of(ad: Ad) -> Budget:
    """What its campaign may spend, as the ad says it."""
    return Budget(
        None if ad.budget is None else micros(ad.budget), None if ad.daily_budget is None else micros(ad.daily_budget)
    )
