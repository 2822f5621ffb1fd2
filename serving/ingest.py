"""A batch of events: each is judged by itself, the good ones are stored together, the people are folded in again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue, ValidationError

from feature_store.errors import BadInput, StoreUnavailable
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from serving.access.tenants import person_of, reply_of
from serving.body_faults import faults_of
from serving.errors import Fault
from serving.feedback import Feedback
from serving.metrics import Metrics
from serving.model import ServingModel
from serving.people import People
from serving.schemas import EventBody

_LIMITS = HistoryLimits()


class Judged(NamedTuple):
    """A batch, each of its events in one of two places by its index.

    accepted: index -> the event.
    refused: index -> what is wrong with it.
    joined: index of an accepted event -> the reply that it follows, where it names one, as the server remembers it
        (`serving.access.tenants.reply_of`): one of another tenant is none. It is not stored.
    """

    accepted: Mapping[int, Event]
    refused: Mapping[int, tuple[Fault, ...]]
    joined: Mapping[int, str]


def judge(
    batch: Sequence[JsonValue], now: float, limits: HistoryLimits = _LIMITS, *, tenant: str | None = None
) -> Judged:
    """Tell good events from bad ones; an event without a time is given `now`, seconds since 1970.

    limits: those of the store, so that an event which it would refuse is told apart from the others.
    tenant: whose people these are.
    """
    accepted, refused, joined = {}, {}, {}
    for index, sent in enumerate(batch):
        try:
            body = EventBody.model_validate(sent)
        except ValidationError as error:
            refused[index] = tuple(faults_of(error, f"#/events/{index}"))
            continue
        timestamp = now if body.timestamp is None else body.timestamp
        if limits.lies_ahead(timestamp, now):
            detail = f"at most {limits.future_seconds:g} s ahead of the server's clock, which has {now:.0f}"
            refused[index] = (Fault(f"#/events/{index}/timestamp", detail),)
            continue
        try:
            person = person_of(tenant, body.user_id)
        except BadInput as error:
            refused[index] = (Fault(f"#/events/{index}/user_id", str(error)),)
            continue
        accepted[index] = Event(body.event_id, person, body.item_id, body.event, timestamp, body.value, body.vertical)
        if body.recommendation_id is not None:
            joined[index] = reply_of(tenant, body.recommendation_id)
    return Judged(accepted, refused, joined)


async def ingest(
    judged: Judged, people: People, model: ServingModel | None, metrics: Metrics, feedback: Feedback, now: float
) -> Mapping[int, bool]:
    """Store the accepted events and fold their people in again, where there is a model: the next reply reflects them.

    Those that are new are counted in the feedback on their items, at `now`, seconds since 1970.
    An event whose item the model does not know is stored like any other: the next checkpoint may know it.

    Returns:
        index -> whether the event was new.

    Raises:
        StoreUnavailable: none of them is known to be stored; sending them again is safe.
    """
    metrics.events.labels("refused").inc(len(judged.refused))
    try:
        new = await people.keep(list(judged.accepted.values())) if judged.accepted else []
    except StoreUnavailable:
        metrics.events.labels("failed").inc(len(judged.accepted))
        raise
    metrics.events.labels("stored").inc(sum(new))
    metrics.events.labels("known").inc(len(new) - sum(new))
    outcome = dict(zip(judged.accepted, new, strict=True))
    feedback.take((event for index, event in judged.accepted.items() if outcome[index]), now)
    if model is not None:
        changed = {event.user_id for index, event in judged.accepted.items() if outcome[index]}
        failed = await people.fold_in(changed, model)
        metrics.fold_ins.labels("done").inc(len(changed) - failed)
        metrics.fold_ins.labels("failed").inc(failed)
    return outcome
