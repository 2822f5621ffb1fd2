"""The line-up: which ads are shown, the best first, within the caps of the list and of the person.

How often a person has seen an ad is for the counters to say, and to count in the same step. So ads are taken one after
another, and one that is refused gives its place to the next.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from feature_store.arrays import Int32Array
from serving.ads.auction import Bids, price
from serving.ads.market import Market
from serving.ads.terms import Terms
from serving.assortment.assortment import Assortment
from serving.assortment.columns import NO_NAME
from serving.placements.settings import Cap


class Placed(NamedTuple):
    """One ad of the list.

    row: of the market's ads.
    place: in the assortment.
    """

    row: int
    place: int
    terms: Terms


async def line_up(
    bids: Bids,
    k: int,
    caps: Sequence[Cap],
    assortment: Assortment,
    market: Market,
    reserve: int,
    may_show: Callable[[int], Awaitable[bool]],
    try_show: Callable[[int], Awaitable[bool]],
) -> list[Placed]:
    """At most k of the ads, by falling eCPM, each at the price that the next one makes it pay.

    Args:
        bids: of the ads that take part.
        k: how many, at least 1.
        caps: of the placement; an ad without a name in the field is not counted.
        assortment: where the ads' names are.
        market: where the ads are.
        reserve: the least price, in micros.
        may_show: whether the person may be shown that row of the market; nothing is counted.
        try_show: counts that the person is shown that row of the market; False where the person has seen it enough.
    """
    counted = [_Counted(cap, assortment, market) for cap in caps]
    chosen: list[int] = []
    following: int | None = None
    for at, row in enumerate(bids.rows.tolist()):
        if not all(one.allows(row) for one in counted):
            continue
        if len(chosen) == k:
            if await may_show(row):
                following = at
                break
        elif await try_show(row):
            chosen.append(at)
            for one in counted:
                one.take(row)
    return (
        [_placed(bids, market, at, after, reserve) for at, after in zip(chosen, [*chosen[1:], following], strict=True)]
        if chosen
        else []
    )


def _placed(bids: Bids, market: Market, at: int, after: int | None, reserve: int) -> Placed:
    row, bid, rate = int(bids.rows[at]), int(bids.bids[at]), float(bids.click_rates[at])
    following = None if after is None else (int(bids.bids[after]), float(bids.click_rates[after]))
    ads = market.ads
    terms = Terms(
        currency=ads.currencies[ads.currency[row]],
        bid=bid,
        click_rate=rate,
        ecpm=float(bids.values[at]),
        price=price(bid, rate, following, reserve),
        campaign=ads.facts[ads.ads[row]].ad.pays_from,
    )
    return Placed(row, int(ads.places[row]), terms)


class _Counted:
    """What one cap of the list still allows."""

    def __init__(self, cap: Cap, assortment: Assortment, market: Market) -> None:
        names = assortment.names(cap.field)
        self._codes: Int32Array | None = None if names is None else names.first[market.ads.places]
        self._most = cap.most
        self._taken: Counter[int] = Counter()

    def allows(self, row: int) -> bool:
        code = NO_NAME if self._codes is None else int(self._codes[row])
        return code == NO_NAME or self._taken[code] < self._most

    def take(self, row: int) -> None:
        if self._codes is not None:
            self._taken[int(self._codes[row])] += 1
