"""Attributing: events that name a reply are counted where it came from, for metrics and for the trial."""

import time

from feature_store.event_weights import EventWeights
from feature_store.events import Event
from serving.attribution import Counted
from serving.ingest import Judged
from serving.routes.parts import Parts
from serving.trial import Tally

_WEIGHTS = EventWeights()
_SHOWN = "impression"


def attribute(parts: Parts, judged: Judged) -> None:
    """Count impressions, and events that say interest, once for each item of a reply.

    Those of replies not known, and of items that the reply did not have, are left out: of a reply that is not this
    process's the others of its server are told. All of them are stored by now,
    some by a request before, whose answer was lost or was a 503: they are counted now where they were not then.
    """
    now = time.monotonic()
    for index, recommendation_id in judged.joined.items():
        event = judged.accepted[index]
        what = _counted(event)
        if what is None:
            continue
        if parts.attribution.knows(recommendation_id, now):
            count_once(parts, recommendation_id, event.item_id, what)
        else:
            parts.siblings.tell("joined", [recommendation_id, event.item_id, what])


def count_once(parts: Parts, recommendation_id: str, item_id: str, what: Counted) -> None:
    """Count one item of a reply, unless that was done, or the reply is not known or did not have it."""
    origin = parts.attribution.count(recommendation_id, item_id, what, time.monotonic())
    if origin is None:
        return
    trial, production = parts.trials.current(), parts.live.model
    production_id = None if production is None else production.model_id
    tally = None if trial is None or origin.was_named else trial.tally(origin.model_id, production_id)
    tally = tally or Tally()
    labels = (origin.placement, origin.model_id, origin.arm)
    if what == "shown":
        parts.metrics.shown.labels(*labels).inc()
        tally.shows += 1
    else:
        parts.metrics.clicked.labels(*labels).inc()
        tally.clicks += 1


def _counted(event: Event) -> Counted | None:
    """What an event says of the item of a reply; None for neither."""
    if event.event == _SHOWN:
        return "shown"
    says_interest = event.event not in _WEIGHTS.hiding and _WEIGHTS.of(event.vertical, event.event) > 0
    return "clicked" if says_interest else None
