"""Settling: what events say of ads is noted in the books, each by the recommendation that it names."""

import asyncio
import time

from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from serving.ads.desk import AdDesk
from serving.attribution import Attribution
from serving.ingest import Judged
from serving.metrics import Metrics

_AT_ONCE = 16  # events whose steps are under way together


async def settle(judged: Judged, desk: AdDesk, attribution: Attribution, metrics: Metrics) -> None:
    """Note the impressions and clicks of ads among the accepted events; those sent before change nothing.

    Raises:
        StoreUnavailable: not all of them are noted; sending the events again is safe.
    """
    joined = await _of_ads(judged, desk, attribution)
    for start in range(0, len(joined), _AT_ONCE):
        steps = (_settle(event, named, desk, metrics) for event, named in joined[start : start + _AT_ONCE])
        failures = [found for found in await asyncio.gather(*steps, return_exceptions=True) if found is not None]
        for failure in failures:
            if not isinstance(failure, StoreUnavailable):
                raise failure
        if failures:
            raise failures[0]


async def _of_ads(judged: Judged, desk: AdDesk, attribution: Attribution) -> list[tuple[Event, str]]:
    """The events about ads, each with the reply that it follows; raises `StoreUnavailable`.

    Of a reply that this server remembers it knows which items were ads. Of others the catalogue tells, as far as it has
    the item now; the ledger tells of all else: an ad that was taken out is paid for, and so is one whose catalogue
    cannot be read. It is asked once for the whole batch.
    """
    found: list[tuple[Event, str]] = []
    others: list[tuple[Event, str]] = []
    now = time.monotonic()
    for index, recommendation_id in judged.joined.items():
        event = judged.accepted[index]
        was_ad = attribution.was_ad(recommendation_id, event.item_id, now)
        if event.event not in {"impression", "click"} or was_ad is False:
            continue
        settled = was_ad or desk.known.has(event.item_id)
        (found if settled else others).append((event, recommendation_id))
    offered = await desk.offered([(reply, event.item_id) for event, reply in others]) if others else []
    return found + [one for one, is_ad in zip(others, offered, strict=True) if is_ad]


async def _settle(event: Event, recommendation_id: str, desk: AdDesk, metrics: Metrics) -> None:
    step = desk.clicked if event.event == "click" else desk.saw
    try:
        outcome = await step(event.user_id, event.item_id, recommendation_id)
    except StoreUnavailable:
        metrics.ad_events.labels("failed").inc()
        raise
    metrics.ad_events.labels(outcome).inc()
