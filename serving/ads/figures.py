"""Figures: what the books say of the ads of one catalogue, read between requests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.ad_counters import Spent
from serving.ads.books import Books
from serving.ads.calibration import Calibration
from serving.ads.columns import AdColumns
from serving.ads.ledger import Counts
from serving.ads.market import Market

_AT_ONCE = 32  # questions to the counters; requests have their turn between them
_UNREAD = Spent(-1, -1)
_NEVER_SEEN = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Figures:
    """How often each ad was seen and clicked, and what each campaign with a budget has spent.

    An ad or a campaign that is not there had not come when it was read.
    """

    counts: Mapping[str, Counts]
    spent: Mapping[str, Spent]


async def read_figures(books: Books, ads: AdColumns) -> Figures:
    """Those of these ads now; raises `StoreError`."""
    counts = await books.ledger.counts(ads.ads)
    campaigns = _with_budget(ads)
    spent: dict[str, Spent] = {}
    for start in range(0, len(campaigns), _AT_ONCE):
        asked = campaigns[start : start + _AT_ONCE]
        spent.update(zip(asked, await asyncio.gather(*map(books.counters.spent, asked)), strict=True))
    return Figures(dict(zip(ads.ads, counts, strict=True)), spent)


def market_of(ads: AdColumns, figures: Figures, calibration: Calibration | None, *, is_open: bool) -> Market:
    """The ads with what is known of each. What a campaign without a budget spends is not asked, and nought here."""
    counts = [figures.counts.get(ad, _NEVER_SEEN) for ad in ads.ads]
    budgeted = frozenset(_with_budget(ads))
    by_campaign = [figures.spent.get(one, _UNREAD) if one in budgeted else Spent(0, 0) for one in ads.campaigns]
    spent = np.array(by_campaign, np.int64).reshape(-1, 2)[ads.campaign]
    return Market(
        ads=ads,
        is_open=is_open,
        shows=np.array([one.shows for one in counts], np.float64),
        clicks=np.array([one.clicks for one in counts], np.float64),
        total=spent[:, 0],
        today=spent[:, 1],
        calibration=calibration,
    )


def _with_budget(ads: AdColumns) -> Sequence[str]:
    """The campaigns of which any ad says a budget."""
    limited = {
        int(code)
        for code, budget in zip(ads.campaign, ads.budgets, strict=True)
        if budget.total is not None or budget.daily is not None
    }
    return [ads.campaigns[code] for code in sorted(limited)]
