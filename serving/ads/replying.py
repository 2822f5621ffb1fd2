"""Replying with ads: alone, or among the items of another placement."""

from dataclasses import replace

from feature_store.errors import StoreUnavailable
from serving.ads.blending import blended, room_for
from serving.ads.desk import AdDesk
from serving.recommend import RankedItem, RankedList, asked_of, listed, recommend
from serving.request import Person, RecommendationRequest
from serving.view import View


async def with_ads(
    request: RecommendationRequest,
    person: Person | None,
    view: View,
    sponsor: View | None,
    desk: AdDesk,
    recommendation_id: str,
) -> RankedList:
    """What a placement shows: its items, its ads, or its items with the ads of another placement among them.

    Where no ads can be shown now, the list is without them, and says "ads-unavailable".

    sponsor: of the placement that the ads among the items come from; None where there are none.
    """
    if view.placement.ads is not None:
        return await _ads_of(request, person, view, desk, recommendation_id)
    ranked = recommend(request, person, view)
    sponsored = view.placement.sponsored
    if sponsored is None or sponsor is None:
        return ranked
    room = room_for(sponsored, request.k, len(ranked.items))
    if room == 0:
        return ranked
    # Filters, the item asked about and diversity are about the other items.
    for_ads = replace(request, k=room, filters={}, like_item_id=None, diversity=None)
    ads = await _ads_of(for_ads, person, sponsor, desk, recommendation_id)
    items = blended(ranked.items, ads.items, sponsored, request.k)
    unavailable = tuple(reason for reason in ads.degraded if reason == "ads-unavailable")
    return replace(
        ranked,
        items=tuple(item._replace(rank=rank) for rank, item in enumerate(items, 1)),
        degraded=(*ranked.degraded, *unavailable),
    )


async def _ads_of(
    request: RecommendationRequest, person: Person | None, view: View, desk: AdDesk, recommendation_id: str
) -> RankedList:
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
