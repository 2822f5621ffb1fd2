"""Attributing: events that name a reply are counted where it came from, for metrics and for the trial."""

import time
from collections.abc import Mapping

from feature_store.event_weights import EventWeights
from serving.ingest import Judged
from serving.routes.parts import Parts

_WEIGHTS = EventWeights()
_SHOWN = "impression"


def attribute(parts: Parts, judged: Judged, new: Mapping[int, bool]) -> None:
    """Count impressions, and events that say interest, once each; those of replies not known are left out."""
    now, trial, production = time.monotonic(), parts.trials.current(), parts.live.model
    production_id = None if production is None else production.model_id
    for index, recommendation_id in judged.joined.items():
        origin = parts.attribution.origin(recommendation_id, now)
        if origin is None or not new.get(index, False):
            continue
        event = judged.accepted[index]
        tally = None if trial is None else trial.tally(origin.model_id, production_id)
        labels = (origin.placement, origin.model_id, origin.arm)
        if event.event == _SHOWN:
            parts.metrics.shown.labels(*labels).inc()
            if tally is not None:
                tally.shows += 1
        elif event.event not in _WEIGHTS.hiding and _WEIGHTS.of(event.vertical, event.event) > 0:
            parts.metrics.clicked.labels(*labels).inc()
            if tally is not None:
                tally.clicks += 1
