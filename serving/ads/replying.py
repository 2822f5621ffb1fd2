"""Replying with ads: alone, or among the items of another placement.

Where no ads can be shown now, a list is without them, and says "ads-unavailable".
"""

from dataclasses import replace

from feature_store.errors import StoreUnavailable
from serving.ads.around import around, depends_on_length
from serving.ads.blending import blended, positions, room_for
from serving.ads.desk import AdDesk
from serving.recommend import RankedItem, RankedList, asked_of, listed, recommend
from serving.request import Person, RecommendationRequest
from serving.view import View


async def with_ads(
    ranked: RankedList,
    request: RecommendationRequest,
    person: Person | None,
    view: View,
    sponsor: View | None,
    desk: AdDesk,
    recommendation_id: str,
) -> RankedList:
    """What a placement shows: the items, as they are or with the ads of another placement among them.

    ranked: the items alone, as `serving.recommend.recommend` answers that request. Where rules promote or sources have
        shares, they are listed once more for the positions that the ads leave.
    sponsor: of the placement that the ads come from; None where there are none.
    """
    sponsored = view.placement.sponsored
    if sponsored is None or sponsor is None:
        return ranked
    room = room_for(sponsored, request.k, len(ranked.items))
    if room == 0:
        return ranked
    # Filters, the item asked about and diversity are about the other items.
    for_ads = replace(request, k=room, filters={}, like_item_id=None, diversity=None)
    ads = await ads_alone(for_ads, person, sponsor, desk, recommendation_id)
    left = request.k - len(ads.items)
    if ads.items and left and depends_on_length(view.placement, view.now):
        beside = around(view.placement, positions(sponsored, len(ads.items)), request.k)
        ranked = recommend(replace(request, k=left), person, replace(view, placement=beside))
    items = blended(ranked.items, ads.items, sponsored, request.k)
    unavailable = tuple(reason for reason in ads.degraded if reason == "ads-unavailable")
    return replace(
        ranked,
        items=tuple(item._replace(rank=rank) for rank, item in enumerate(items, 1)),
        degraded=(*ranked.degraded, *unavailable),
    )


async def ads_alone(
    request: RecommendationRequest, person: Person | None, view: View, desk: AdDesk, recommendation_id: str
) -> RankedList:
    """What a placement of ads shows."""
    settings = view.placement.ads
    asked = asked_of(request, person, view)
    if settings is None:
        return listed(asked, ())
    try:
        placed = await desk.choose(asked, settings, request.k, recommendation_id)
    except StoreUnavailable:
        without = listed(asked, ())
        return replace(without, degraded=(*without.degraded, "ads-unavailable"))
    items = (
        RankedItem(view.assortment.item_id(one.place), one.terms.ecpm, rank, "ad", one.terms)
        for rank, one in enumerate(placed, 1)
    )
    return listed(asked, tuple(items))
