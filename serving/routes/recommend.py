"""`POST /v1/placements/{placement}:recommend`: one ranked list for one person."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, Path
from pydantic import ValidationError
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

from feature_store.errors import BadInput, HearthError, StoreUnavailable
from feature_store.query_tower import Context, ContextFeature
from feature_store.vector_noise import NoiseSettings
from serving.access.entries import too_many_entries
from serving.access.gate import caller_of
from serving.access.tenants import person_of, placement_of
from serving.ads.terms import Terms
from serving.body_faults import faults_of
from serving.config import ServingConfig
from serving.error_problems import problem_of
from serving.errors import Fault, ModelNotLoaded, NoModel, OtherCheckpoint, RequestRefused, UnknownPlacement
from serving.experiments import answered_by, arms_of
from serving.openapi import instead
from serving.placements.settings import Placement
from serving.problems import refused, respond
from serving.recommend import RankedItem, RankedList
from serving.request import Person, RecommendationRequest
from serving.routes.answering import Question, afterwards, answered, count, source_of
from serving.routes.direct import answer_directly
from serving.routes.parts import Parts, json_reply, takes_json
from serving.schemas import (
    AdTerms,
    BatchBody,
    BatchOutcome,
    BatchReply,
    ContextBody,
    RecommendBody,
    RecommendReply,
    StatedNoise,
)
from serving.session import session_items
from serving.tracing.spans import step

PlacementName = Annotated[str, Path(description="where recommendations are shown, as the server's settings name it")]

_PAUSE_SECONDS = 0.001  # between entries of a batch: what has come meanwhile is answered, not moved on by a step


def add_recommend(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/placements/{placement}:recommend` and `:batch-recommend`."""

    @app.post(
        "/v1/placements/{placement}:recommend",
        operation_id="recommend",
        dependencies=[Depends(takes_json)],
        responses={
            200: {"model": RecommendReply},
            **instead(UnknownPlacement, OtherCheckpoint, ModelNotLoaded, NoModel),
        },
        summary="One ranked list for one person",
    )
    async def recommend_items(placement: PlacementName, body: RecommendBody, request: Request) -> Response:
        """What is missing for it (a store, a graph) is said in `meta.degraded`: there is a list all the same."""
        reply, background = await _replied(parts, placement, body, caller_of(request).tenant)
        return json_reply(reply, background=background)

    answer_directly(app, recommend_items, RecommendBody)

    @app.post(
        "/v1/placements/{placement}:batch-recommend",
        operation_id="batch_recommend",
        status_code=207,
        dependencies=[Depends(takes_json)],
        responses={207: {"model": BatchReply}, **instead(UnknownPlacement)},
        summary="Lists for several people, each answered by itself",
    )
    async def recommend_batch(placement: PlacementName, body: BatchBody, request: Request) -> Response:
        """As many requests, each with the status, and the reply or the problem, that it would have had alone.

        Each counts as a request for load and for what a key may ask; between two, others have their turn.
        """
        tenant = caller_of(request).tenant
        placement_of(parts.files.placements(), placement, tenant)  # one that there is not is a fault of the whole
        if len(body.requests) > parts.config.max_batch:
            raise RequestRefused([Fault("#/requests", f"a batch has at most {parts.config.max_batch} requests")])
        if (problem := too_many_entries(request, len(body.requests))) is not None:
            parts.metrics.turned_away.labels(problem.slug).inc()
            return respond(problem)
        return await _batch(parts, placement, body, tenant)


async def _batch(parts: Parts, placement: str, body: BatchBody, tenant: str | None) -> Response:
    """The entries one after the other, with a pause between them for others."""
    outcomes, afterwards = [], BackgroundTasks()
    for index, sent in enumerate(body.requests):
        if index:
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            asked = RecommendBody.model_validate(sent)
            with step("answer one"):
                reply, background = await _replied(parts, placement, asked, tenant)
        except ValidationError as error:
            problem = refused(faults_of(error, f"#/requests/{index}"))
        except HearthError as error:
            problem = problem_of(error, f"#/requests/{index}")
        else:
            outcomes.append(BatchOutcome(index=index, status=200, reply=reply))
            if background is not None:
                afterwards.tasks += [background, BackgroundTask(asyncio.sleep, _PAUSE_SECONDS)]
            continue
        outcomes.append(BatchOutcome(index=index, status=problem.status, problem=problem.body()))
    return json_reply(BatchReply(replies=outcomes), 207, afterwards)


async def _replied(
    parts: Parts, placement: str, body: RecommendBody, tenant: str | None
) -> tuple[RecommendReply, BackgroundTask | None]:
    """The reply to one request, and what is to be done once it was sent."""
    started = time.perf_counter()
    settings = placement_of(parts.files.placements(), placement, tenant)
    asked = _request_of(body, parts.config, tenant)
    recommendation_id = secrets.token_hex(16)
    unit = asked.user_id or recommendation_id
    arms = arms_of(parts.config.experiments, placement, unit, body.experiments)
    settings = _settings_of(parts, arms, tenant) or settings
    person = await _person(asked, settings, parts)
    source = source_of(parts, body.model_id, body.checkpoint_id, unit)  # now: while that was read, stages may change
    question = Question(placement, settings, asked, person, recommendation_id, arms, body.model_id)
    ranked, view = await answered(parts, question, source)
    count(parts, question, ranked, view)
    return _reply(ranked, recommendation_id, arms, body.noise, started), afterwards(parts, question, ranked, view)


def _settings_of(parts: Parts, arms: Mapping[str, str], tenant: str | None) -> Placement | None:
    """The placement that an arm is answered by; None where it is the one that was asked, or there is none of it."""
    name = answered_by(parts.config.experiments, arms)
    settings = None if name is None else parts.files.placements().get(name)
    return settings if settings is not None and settings.tenant == tenant else None


async def _person(asked: RecommendationRequest, placement: Placement, parts: Parts) -> Person | None:
    """What is stored of who asks; None where nobody does.

    Store and graph fail each by itself, and the reply says so: whom a person blocks is hidden without a history, too.
    """
    if asked.user_id is None:
        return None
    if not placement.uses_graph:
        return await _stored(asked.user_id, parts)
    person, neighbours = await asyncio.gather(
        _stored(asked.user_id, parts), parts.neighbourhood.of(asked.user_id, placement)
    )
    return person._replace(neighbours=neighbours)


async def _stored(user_id: str, parts: Parts) -> Person:
    try:
        return await parts.people.read(user_id, parts.live.model)
    except StoreUnavailable:
        return Person(None, None)


def _request_of(body: RecommendBody, config: ServingConfig, tenant: str | None) -> RecommendationRequest:
    faults = []
    user_id = None
    if body.user_id is not None:
        try:
            user_id = person_of(tenant, body.user_id)
        except BadInput as error:
            faults.append(Fault("#/user_id", str(error)))
    if body.k > config.max_k:
        faults.append(Fault("#/k", f"k is at most {config.max_k}"))
    for name, sent in (("session_events", body.session_events), ("exclude_item_ids", body.exclude_item_ids)):
        if sent is not None and len(sent) > config.max_ids:
            faults.append(Fault(f"#/{name}", f"at most {config.max_ids} of them"))
    vector = None
    if body.query_vector is not None:
        numbers = np.array(body.query_vector, dtype=np.float64)
        if np.abs(numbers).max() > np.finfo(np.float32).max:
            faults.append(Fault("#/query_vector", "each number fits into 32 bits"))
        else:
            vector = numbers.astype(np.float32)
    if faults:
        raise RequestRefused(faults)
    met, hidden = session_items((event.item_id, event.event) for event in body.session_events or ())
    return RecommendationRequest(
        k=body.k,
        user_id=user_id,
        session_item_ids=None if body.session_events is None else met,
        query_vector=vector,
        checkpoint_id=body.checkpoint_id,
        noise=None if body.noise is None else NoiseSettings(body.noise.mechanism, body.noise.epsilon),
        exclude_item_ids=(*body.exclude_item_ids, *hidden),
        filters=body.filters,
        like_item_id=body.like_item_id,
        diversity=body.diversity,
        explain=body.explain,
        context=None if body.context is None else _context_of(body.context),
        attributes=body.attributes,
    )


def _context_of(sent: ContextBody) -> Context:
    context: dict[ContextFeature, str] = {}
    if sent.hour is not None:
        context["hour"] = str(sent.hour)
    if sent.weekday is not None:
        context["weekday"] = str(sent.weekday)
    if sent.device is not None:
        context["device"] = sent.device
    return context


def _terms(terms: Terms) -> AdTerms:
    return AdTerms(
        currency=terms.currency,
        bid_micros=terms.bid,
        click_rate=terms.click_rate,
        ecpm=terms.ecpm,
        price_micros=terms.price,
        campaign=terms.campaign,
    )


def _reply(
    ranked: RankedList, recommendation_id: str, arms: Mapping[str, str], noise: StatedNoise | None, started: float
) -> RecommendReply:
    # Checked at once: to make each part by itself takes three times as long.
    return RecommendReply.model_validate(
        {
            "recommendation_id": recommendation_id,
            "model_id": ranked.model_id,
            "experiments": arms,
            "privacy_tier": ranked.privacy_tier,
            "items": [_item(item) for item in ranked.items],
            "meta": {
                "degraded": ranked.degraded,
                "unknown_items": ranked.unknown_items,
                "took_ms": round((time.perf_counter() - started) * 1e3, 3),
                "noise": noise,
            },
        }
    )


def _item(item: RankedItem) -> dict[str, object]:
    """As `RecommendedItem` has it."""
    entry: dict[str, object] = {
        "item_id": item.item_id,
        "score": item.score,
        "rank": item.rank,
        "source": item.source,
    }
    if item.ad is not None:
        entry["ad"] = _terms(item.ad)
    if item.reasons:
        entry["reasons"] = [reason._asdict() for reason in item.reasons]
    return entry
