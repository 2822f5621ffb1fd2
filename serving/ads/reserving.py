"""Reserving: the line-up of one reply, each show counted before the reply goes out, each offer noted in the ledger."""

from collections.abc import Sequence

from serving.ads.auction import Bids
from serving.ads.books import Books
from serving.ads.holds import Hold, impression_id
from serving.ads.ledger import Offer
from serving.ads.lineup import Placed, line_up
from serving.ads.market import Market
from serving.ads.settings import AdsSettings
from serving.sources.asked import Asked

_LEAST_ASKED = 50  # of the best ads the counters are asked at once which the person has seen enough


async def reserved(
    books: Books,
    asked: Asked,
    settings: AdsSettings,
    market: Market,
    bids: Bids,
    k: int,
    recommendation_id: str,
    holds: list[Hold],
) -> list[Placed]:
    """The line-up, its shows counted and its offers noted; whatever was counted is in `holds`."""
    person, ads = asked.request.user_id, market.ads
    best = bids.rows[: max(_LEAST_ASKED, 4 * k)].tolist()
    asked_of, enough = frozenset(best), await _seen_enough(books, person, market, best)

    async def may_show(row: int) -> bool:
        return row not in (enough if row in asked_of else await _seen_enough(books, person, market, [row]))

    async def try_show(row: int) -> bool:
        cap = ads.caps.get(row)
        if cap is None or person is None:
            return True
        if row in enough:
            return False
        hold = Hold(person, cap, recommendation_id)
        holds.append(hold)  # first: where the answer is lost, it may be counted
        show = await books.counters.try_show(person, cap, impression_id(recommendation_id, cap.ad))
        if not show.counted:
            holds.remove(hold)
        return show.counted

    caps, reserve = asked.view.placement.caps, settings.reserve_micros
    placed = await line_up(bids, k, caps, asked.view.assortment, market, reserve, may_show, try_show)
    if placed:
        await books.ledger.offer(recommendation_id, [_offer(one, market) for one in placed])
    return placed


async def _seen_enough(books: Books, person: str | None, market: Market, rows: Sequence[int]) -> frozenset[int]:
    """Of these ads those that the person has seen as often as their caps allow: not worth trying one by one."""
    capped = [row for row in rows if row in market.ads.caps]
    if person is None or not capped:
        return frozenset()
    caps = [market.ads.caps[row] for row in capped]
    times = await books.counters.shown(person, caps)
    return frozenset(row for row, cap, seen in zip(capped, caps, times, strict=True) if seen >= cap.most)


def _offer(placed: Placed, market: Market) -> Offer:
    ads = market.ads
    budget = ads.budgets[placed.row]
    return Offer(
        ad=ads.ads[placed.row],
        campaign=ads.campaigns[ads.campaign[placed.row]],
        price=placed.terms.price,
        total=budget.total,
        daily=budget.daily,
    )
