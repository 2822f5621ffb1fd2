"""The routes: from a body to the pipeline and back. What they are given is made once, when the app is."""

import importlib.metadata
import secrets
import time
from dataclasses import dataclass

import numpy as np
from fastapi import Depends, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_store.errors import StoreUnavailable
from feature_store.query_tower import Context, ContextFeature
from serving.assortment.assortment import Assortment
from serving.config import ServingConfig
from serving.errors import Fault, RequestRefused, UnknownPlacement
from serving.ingest import ingest, judge
from serving.live import LiveModel
from serving.metrics import Metrics
from serving.model import ServingModel
from serving.people import People
from serving.placements.conditions import unknown_fields
from serving.problems import refused, respond, unready
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from serving.schemas import (
    ContextBody,
    EventOutcome,
    EventsBody,
    EventsReply,
    RecommendBody,
    RecommendedItem,
    RecommendMeta,
    RecommendReply,
    Version,
)
from serving.session import session_items
from serving.view import View


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the routes work with."""

    config: ServingConfig
    live: LiveModel
    people: People
    metrics: Metrics


async def takes_json(request: Request) -> None:
    """Refuse a body that is not sent as JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415)


def add_recommend(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/placements/{placement}:recommend`."""

    @app.post(
        "/v1/placements/{placement}:recommend",
        dependencies=[Depends(takes_json)],
        responses={200: {"model": RecommendReply}},
        summary="One ranked list for one person",
    )
    async def recommend_items(placement: str, body: RecommendBody) -> Response:
        started = time.perf_counter()
        if placement not in parts.config.placements:
            raise UnknownPlacement(f"placement {placement!r} is none of {', '.join(parts.config.placements)}")
        asked = _request_of(body, parts.config)
        person = await _person(asked, parts.live.current(), parts.people)
        ranked = recommend(asked, person, _view(parts, placement, asked))
        for reason in ranked.degraded:
            parts.metrics.degraded.labels(reason).inc()
        if ranked.items:
            parts.metrics.candidates.labels(ranked.items[0].source).inc(len(ranked.items))
        return _json(_reply(ranked, started))


def add_events(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/events`."""

    @app.post(
        "/v1/events",
        status_code=207,
        dependencies=[Depends(takes_json)],
        responses={207: {"model": EventsReply}},
        summary="What people did",
    )
    async def take_events(body: EventsBody) -> Response:
        most = parts.config.max_events
        if len(body.events) > most:
            raise RequestRefused([Fault("#/events", f"a batch has at most {most} events")])
        judged = judge(body.events, now=time.time())
        new = await ingest(judged, parts.people, parts.live.model, parts.metrics)
        outcomes = [
            EventOutcome(index=index, status=201 if new[index] else 200)
            if index in new
            else EventOutcome(index=index, status=422, problem=refused(judged.refused[index]).body())
            for index in range(len(body.events))
        ]
        return _json(EventsReply(events=outcomes), 207)


def add_health(app: FastAPI, parts: Parts) -> None:
    """`GET /livez`, `/readyz`, `/metrics` and `/version`."""
    hearth = importlib.metadata.version("hearth-recommender")

    @app.get("/livez", summary="Whether the process answers; asks nothing else")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether recommendations are answered; a store that is down does not keep them back")
    async def readyz() -> Response:
        checks = {"model": _model_check(parts.live), "store": await _store_check(parts.people)}
        if parts.live.model is None:
            return respond(unready(checks))
        return JSONResponse({"status": "ok", "checks": checks})

    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/version", summary="What runs here")
    async def version() -> Version:
        model = parts.live.model
        return Version(hearth=hearth, model_id=None if model is None else model.model_id)


def _view(parts: Parts, placement: str, asked: RecommendationRequest) -> View:
    """What answers, taken once all that is waited for is there; raises `RequestRefused`."""
    settings = parts.config.placements[placement]
    model = parts.live.current()
    shown = parts.live.stock.shown.get(settings.vertical) or Assortment(None, (), has_catalogue=False)
    if unknown := unknown_fields(asked.filters, shown) if shown.has_catalogue else list(asked.filters):
        known = ", ".join(sorted(shown.fields)) or "none"
        raise RequestRefused([Fault("#/filters", f"fields that items of this placement have: {known}")] * bool(unknown))
    return View(settings, model, shown, time.time())


async def _person(asked: RecommendationRequest, model: ServingModel, people: People) -> Person | None:
    """What is stored of who asks; None where nobody does, or the store does not answer (the reply says so then)."""
    if asked.user_id is None:
        return None
    try:
        return await people.read(asked.user_id, model)
    except StoreUnavailable:
        return None


def _request_of(body: RecommendBody, config: ServingConfig) -> RecommendationRequest:
    faults = []
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
        user_id=body.user_id,
        session_item_ids=None if body.session_events is None else met,
        query_vector=vector,
        checkpoint_id=body.checkpoint_id,
        exclude_item_ids=(*body.exclude_item_ids, *hidden),
        filters=body.filters,
        like_item_id=body.like_item_id,
        diversity=body.diversity,
        context=None if body.context is None else _context_of(body.context),
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


def _reply(ranked: RankedList, started: float) -> RecommendReply:
    return RecommendReply(
        recommendation_id=secrets.token_hex(16),
        model_id=ranked.model_id,
        privacy_tier=ranked.privacy_tier,
        items=[
            RecommendedItem(item_id=item.item_id, score=item.score, rank=item.rank, source=item.source)
            for item in ranked.items
        ],
        meta=RecommendMeta(
            degraded=list(ranked.degraded),
            unknown_items=ranked.unknown_items,
            took_ms=round((time.perf_counter() - started) * 1e3, 3),
        ),
    )


def _json(body: BaseModel, status: int = 200) -> Response:
    """A reply written by pydantic at once; the framework would check our own values a second time."""
    return Response(body.model_dump_json(exclude_none=True), status, media_type="application/json")


def _model_check(live: LiveModel) -> dict[str, object]:
    check: dict[str, object] = {"status": "ok" if live.model else "missing"}
    if live.model is not None:
        check["model_id"] = live.model.model_id
    if live.failure is not None:
        check["failure"] = {"model_id": live.failure.model_id, "reason": live.failure.reason}
    return check


async def _store_check(people: People) -> dict[str, object]:
    return {"status": "ok" if await people.answers() else "unavailable"}
