"""Answering: which model makes the list, what happens where the one on trial fails, and what is counted of a reply."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.background import BackgroundTask, BackgroundTasks

from serving.access.tenants import reply_of
from serving.ads.replying import with_ads
from serving.assortment.assortment import Assortment
from serving.attribution import Origin
from serving.errors import Fault, ModelNotLoaded, OtherCheckpoint, RequestRefused
from serving.experiments import arm_label
from serving.live import LiveModel
from serving.placements.conditions import unknown_fields
from serving.placements.settings import Placement
from serving.recall import Probed
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from serving.routes.parts import Parts
from serving.tracing.spans import note_list, step
from serving.view import View

_LOG = logging.getLogger("serving.answering")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """All that is known of a request once what is stored was read.

    name: of the placement that was asked.
    placement: the settings that answer; of an arm of an experiment, maybe those of another placement.
    arms: experiment -> arm.
    """

    name: str
    placement: Placement
    asked: RecommendationRequest
    person: Person | None
    recommendation_id: str
    arms: Mapping[str, str]


def source_of(parts: Parts, wanted: str | None, checkpoint_id: str | None, unit: str) -> LiveModel:
    """Where the model comes from: the one asked for, the vector's, the one on trial for who is in it, production.

    wanted: the model asked for by name; None for any.
    checkpoint_id: of the request's vector, which no other can answer; None where there is no vector. Where neither
        stage has it, production is the one to say so.

    Raises:
        ModelNotLoaded: the one asked for is in neither stage.
        NoModel: nothing has been promoted yet.
    """
    production = parts.live.current().model_id
    trial = parts.trials.current()
    if wanted is not None:
        if wanted == production:
            return parts.live
        if trial is not None and wanted == trial.model_id:
            return parts.trials.shadow
        raise ModelNotLoaded(f"{wanted} is neither in production nor on trial")
    if checkpoint_id is not None:
        return parts.trials.shadow if trial is not None and checkpoint_id == trial.model_id else parts.live
    return parts.trials.shadow if trial is not None and trial.answers(unit) else parts.live


async def answered(parts: Parts, question: Question, source: LiveModel) -> tuple[RankedList, View]:
    """The list, and what it was made from. Where the model on trial fails, production answers instead."""
    trial = parts.trials.current()
    if trial is None:
        return await _listed(parts, question, parts.live)
    if source is parts.live:
        trial.production.requests += 1
        return await _listed(parts, question, source)
    trial.theirs.requests += 1
    try:
        return await _listed(parts, question, source)
    except (RequestRefused, OtherCheckpoint):
        raise  # the request is at fault, or its vector belongs to the other checkpoint
    except Exception as error:  # noqa: BLE001 - whatever it was: a trial leaves nobody without a list
        trial.theirs.failures += 1
        _LOG.error("the model on trial failed", extra={"fields": {"reason": type(error).__name__}})
        return await _listed(parts, question, parts.live)


def count(parts: Parts, question: Question, ranked: RankedList, view: View) -> None:
    """Measure the reply, and remember where it came from."""
    note_list(ranked.model_id, ranked.privacy_tier, ranked.degraded)
    for reason in ranked.degraded:
        parts.metrics.degraded.labels(reason).inc()
    for item in ranked.items:
        parts.metrics.candidates.labels(item.source).inc()
    parts.online.take(question.name, view, ranked)
    origin = Origin(question.name, ranked.model_id, arm_label(question.arms))
    items = (item.item_id for item in ranked.items)
    parts.attribution.remember(_named(question), origin, items, time.monotonic())


def afterwards(parts: Parts, question: Question, ranked: RankedList, view: View) -> BackgroundTask | None:
    """What is to be done once the reply was sent; None for nothing."""
    tasks = BackgroundTasks()
    if (compared := _comparison(parts, question, ranked, view)) is not None:
        tasks.tasks.append(compared)
    if parts.recall.probes(question.recommendation_id):
        tasks.add_task(_probe, parts, Probed(question.name, question.asked, question.person, view))
    return tasks if tasks.tasks else None


async def _probe(parts: Parts, probed: Probed) -> None:  # a coroutine: Starlette runs functions in a thread
    parts.recall.offer(probed)


def _comparison(parts: Parts, question: Question, ranked: RankedList, view: View) -> BackgroundTask | None:
    """For some of production's replies: the same asked of the model on trial, after the reply and for nobody to see.

    Not of a vector, which belongs to one checkpoint; and not of ads, which would be counted twice.
    """
    trial, shadow = parts.trials.current(), parts.trials.shadow.model
    if trial is None or shadow is None or view.model is shadow or not trial.compares(question.recommendation_id):
        return None
    if (
        question.asked.query_vector is not None
        or view.placement.ads is not None
        or view.placement.sponsored is not None
    ):
        return None

    async def compare() -> None:
        shown = parts.trials.shadow.stock.shown.get(view.placement.vertical)
        if shown is None:
            return
        trial.theirs.requests += 1
        try:
            with step("compare"):
                theirs = recommend(question.asked, question.person, replace(view, model=shadow, assortment=shown))
        except Exception as error:  # noqa: BLE001 - as in `answered`
            trial.theirs.failures += 1
            _LOG.error("the model on trial failed", extra={"fields": {"reason": type(error).__name__}})
            return
        both = {item.item_id for item in ranked.items} & {item.item_id for item in theirs.items}
        parts.metrics.trial_overlap.observe(len(both) / max(1, len(ranked.items)))

    return BackgroundTask(compare)


async def _listed(parts: Parts, question: Question, source: LiveModel) -> tuple[RankedList, View]:
    view = _view(parts, question, source)
    sponsor = _sponsor(parts, view, source)
    with step("make list"):
        ranked = await with_ads(question.asked, question.person, view, sponsor, parts.desk, _named(question))
    return ranked, view


def _named(question: Question) -> str:
    """What events that follow the reply find it by: those of its tenant."""
    return reply_of(question.placement.tenant, question.recommendation_id)


def _view(parts: Parts, question: Question, source: LiveModel) -> View:
    """What answers, taken once all that is waited for is there; raises `RequestRefused`."""
    model, asked = source.current(), question.asked
    shown = source.stock.shown.get(question.placement.vertical) or Assortment(None, (), has_catalogue=False)
    if unknown := unknown_fields(asked.filters, shown) if shown.has_catalogue else list(asked.filters):
        raise RequestRefused([Fault(f"#/filters/{field}", _why_unknown(field, shown)) for field in unknown])
    seed = int(question.recommendation_id, 16)
    return View(question.placement, model, shown, time.time(), seed, parts.feedback.of(question.placement.tenant))


def _why_unknown(field: str, shown: Assortment) -> str:
    if shown.names(field) is not None:
        return "items have names there, and no numbers"
    if shown.numbers(field) is not None:
        return "items have a number there: filter by min, max or both"
    return f"fields that items of this placement have: {', '.join(sorted(shown.fields)) or 'none'}"


def _sponsor(parts: Parts, view: View, source: LiveModel) -> View | None:
    """What the ads among the items come from, at the same moment; None where there are none."""
    sponsored = view.placement.sponsored
    settings = None if sponsored is None else parts.files.placements().get(sponsored.placement)
    if settings is None:
        return None
    shown = source.stock.shown.get(settings.vertical) or Assortment(None, (), has_catalogue=False)
    return View(settings, view.model, shown, view.now, view.seed, view.feedback)
