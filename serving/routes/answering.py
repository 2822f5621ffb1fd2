"""Answering: which model makes the list, what happens where the one on trial fails, and what is counted of a reply."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.background import BackgroundTask, BackgroundTasks

from serving.access.tenants import reply_of
from serving.ads.replying import ads_alone, with_ads
from serving.assortment.assortment import Assortment
from serving.attribution import Origin
from serving.errors import Fault, ModelNotLoaded, NoModel, OtherCheckpoint, RequestRefused
from serving.experiments import arm_label
from serving.live import LiveModel
from serving.placements.conditions import unknown_fields
from serving.placements.settings import Placement
from serving.recall import Probed
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from serving.routes.parts import Parts
from serving.tracing.spans import note_list, step
from serving.trial import Tally
from serving.view import View

_LOG = logging.getLogger("serving.answering")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """All that is known of a request once what is stored was read.

    name: of the placement that was asked.
    placement: the settings that answer; of an arm of an experiment, maybe those of another placement.
    arms: experiment -> arm.
    pinned: the model that the request asks for by name; None for any.
    """

    name: str
    placement: Placement
    asked: RecommendationRequest
    person: Person | None
    recommendation_id: str
    arms: Mapping[str, str]
    pinned: str | None = None

    @property
    def names_model(self) -> bool:
        """Whether the request says itself which model answers, as a vector does: it says nothing of a trial then."""
        return self.pinned is not None or self.asked.query_vector is not None


class TooFew(Exception):
    """The model on trial shows fewer items than were asked for, and production more."""


def source_of(parts: Parts, wanted: str | None, checkpoint_id: str | None, unit: str) -> LiveModel:
    """Where the model comes from: the one asked for, the vector's, the one on trial for who is in it, production.

    What it says holds until something is waited for: ask once all is there that the answer needs, then answer.

    wanted: the model asked for by name; None for any.
    checkpoint_id: of the request's vector, which no other can answer; None where there is no vector. Where neither
        stage has it, production is the one to say so. A trial that was stopped is over for both.

    Raises:
        ModelNotLoaded: the one asked for is in neither stage.
    """
    production, trial = parts.live.model, parts.trials.current()
    tried = None if trial is None or trial.stopped is not None else trial.model_id
    if wanted is not None:
        if production is not None and wanted == production.model_id:
            return parts.live
        if wanted == tried:
            return parts.trials.shadow
        raise ModelNotLoaded(f"{wanted} is neither in production nor on trial")
    if checkpoint_id is not None:
        return parts.trials.shadow if checkpoint_id == tried else parts.live
    return parts.trials.shadow if trial is not None and trial.answers(unit) else parts.live


async def answered(parts: Parts, question: Question, source: LiveModel) -> tuple[RankedList, View]:
    """The list, and what it was made from.

    Where the model on trial fails, or shows less than production, this one answers instead.

    Raises:
        ModelNotLoaded: the request asks for the model on trial by name, and that fails.
    """
    trial = parts.trials.current()
    if trial is None:
        return await _listed(parts, question, parts.live)
    counted = Tally() if question.names_model else trial.theirs
    if source is parts.live:
        if not question.names_model:
            trial.production.requests += 1
        return await _listed(parts, question, source)
    counted.requests += 1
    try:
        return await _listed(parts, question, source)
    except (RequestRefused, OtherCheckpoint):
        raise  # the request is at fault, or its vector belongs to the other checkpoint
    except Exception as error:  # whatever it was: a trial leaves nobody without a list
        counted.failures += 1
        _LOG.error("the model on trial failed", extra={"fields": {"reason": type(error).__name__}})
        if question.pinned is not None:
            raise ModelNotLoaded(f"{question.pinned} failed, and no other may answer") from error
        return await _listed(parts, question, parts.live)


def count(parts: Parts, question: Question, ranked: RankedList, view: View) -> None:
    """Measure the reply, and remember where it came from."""
    note_list(ranked.model_id, ranked.privacy_tier, ranked.degraded)
    for reason in ranked.degraded:
        parts.metrics.degraded.labels(reason).inc()
    for source, number in Counter(item.source for item in ranked.items).items():
        parts.metrics.candidates.labels(source).inc(number)
    parts.online.take(question.name, view, ranked)
    origin = Origin(question.name, ranked.model_id or "", arm_label(question.arms), was_named=question.names_model)
    items = (item.item_id for item in ranked.items)
    ads = {item.item_id for item in ranked.items if item.ad is not None}
    parts.attribution.remember(_named(question), origin, items, time.monotonic(), ads)


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

    Not where the request names the model, as a vector does; and not of ads, which would be counted twice.
    """
    trial, shadow = parts.trials.current(), parts.trials.shadow.model
    if trial is None or shadow is None or not trial.compares(question.recommendation_id):
        return None
    if view.model is None or view.model is shadow:
        return None
    if question.names_model or view.placement.ads is not None or view.placement.sponsored is not None:
        return None

    async def compare() -> None:
        shown = _shown(parts.trials.shadow, view.placement)
        trial.theirs.requests += 1
        try:
            with step("compare"):
                theirs = recommend(question.asked, question.person, replace(view, model=shadow, assortment=shown))
                _require_as_many(theirs, ranked)
        except Exception as error:  # noqa: BLE001 - as in `answered`
            trial.theirs.failures += 1
            _LOG.error("the model on trial failed", extra={"fields": {"reason": type(error).__name__}})
            return
        both = {item.item_id for item in ranked.items} & {item.item_id for item in theirs.items}
        parts.metrics.trial_overlap.observe(len(both) / max(1, len(ranked.items)))

    return BackgroundTask(compare)


async def _listed(parts: Parts, question: Question, source: LiveModel) -> tuple[RankedList, View]:
    view = _view(parts, question, source)
    asked, person = question.asked, question.person
    with step("make list"):
        if view.placement.ads is not None:
            ranked = await ads_alone(asked, person, view, parts.desk, _named(question))
        else:
            items = recommend(asked, person, view)
            if source is not parts.live and not question.names_model and len(items.items) < asked.k:
                _require_as_many(items, _of_production(parts, question))
            sponsor = _sponsor(parts, view, source)
            ranked = await with_ads(items, asked, person, view, sponsor, parts.desk, _named(question))
    if view.model is None and not ranked.items:
        raise NoModel("no checkpoint could be loaded yet, and the catalogue has nothing to show without one")
    return ranked, view


def _of_production(parts: Parts, question: Question) -> RankedList | None:
    """The items that production would show; None where there is no production."""
    if parts.live.model is None:
        return None
    return recommend(question.asked, question.person, _view(parts, question, parts.live))


def _require_as_many(theirs: RankedList, production: RankedList | None) -> None:
    """Raise `TooFew` where production has more items."""
    if production is not None and len(theirs.items) < len(production.items):
        raise TooFew(f"{theirs.model_id} shows {len(theirs.items)}, {production.model_id} {len(production.items)}")


def _named(question: Question) -> str:
    """What events that follow the reply find it by: those of its tenant."""
    return reply_of(question.placement.tenant, question.recommendation_id)


def _view(parts: Parts, question: Question, source: LiveModel) -> View:
    """What answers, taken once all that is waited for is there; raises `RequestRefused`, `NoModel`."""
    model, asked = source.model, question.asked
    shown = _shown(source, question.placement)
    if model is None and not len(shown):
        raise NoModel("no checkpoint could be loaded yet, and there is no catalogue to show without one")
    if unknown := unknown_fields(asked.filters, shown) if shown.has_catalogue else list(asked.filters):
        raise RequestRefused([Fault(f"#/filters/{field}", _why_unknown(field, shown)) for field in unknown])
    seed = int(question.recommendation_id, 16)
    return View(question.placement, model, shown, time.time(), seed, parts.feedback.of(question.placement.tenant))


def _shown(source: LiveModel, placement: Placement) -> Assortment:
    """What can be shown of the placement's vertical; nothing where neither model nor catalogue has any of it."""
    return source.stock.shown.get(placement.vertical) or Assortment(None, (), has_catalogue=False)


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
    return View(settings, view.model, _shown(source, settings), view.now, view.seed, view.feedback)
