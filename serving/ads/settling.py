"""Settling: what events say of ads is noted in the books, each by the recommendation that it names."""

import asyncio

from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from serving.ads.desk import AdDesk
from serving.ingest import Judged
from serving.metrics import Metrics

_AT_ONCE = 16  # events whose steps are under way together


async def settle(judged: Judged, desk: AdDesk, metrics: Metrics) -> None:
    """Note the impressions and clicks of ads among the accepted events; those sent before change nothing.

    Raises:
        StoreUnavailable: not all of them are noted; sending the events again is safe.
    """
    joined = [
        (event, recommendation_id)
        for index, recommendation_id in judged.joined.items()
        if (event := judged.accepted[index]).event in {"impression", "click"} and desk.known.has(event.item_id)
    ]
    for start in range(0, len(joined), _AT_ONCE):
        steps = (_settle(event, named, desk, metrics) for event, named in joined[start : start + _AT_ONCE])
        failures = [found for found in await asyncio.gather(*steps, return_exceptions=True) if found is not None]
        for failure in failures:
            if not isinstance(failure, StoreUnavailable):
                raise failure
        if failures:
            raise failures[0]


async def _settle(event: Event, recommendation_id: str, desk: AdDesk, metrics: Metrics) -> None:
    step = desk.clicked if event.event == "click" else desk.saw
    try:
        outcome = await step(event.user_id, event.item_id, recommendation_id)
    except StoreUnavailable:
        metrics.ad_events.labels("failed").inc()
        raise
    metrics.ad_events.labels(outcome).inc()
