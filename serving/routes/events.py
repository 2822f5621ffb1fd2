"""`POST /v1/events`: what people did."""

import time

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from feature_store.errors import StoreUnavailable
from serving.access.gate import caller_of
from serving.ads.settling import settle
from serving.errors import Fault, RequestRefused
from serving.ingest import ingest, judge
from serving.openapi import instead
from serving.problems import refused
from serving.routes.attributing import attribute
from serving.routes.parts import Parts, json_reply, takes_json
from serving.schemas import EventOutcome, EventsBody, EventsReply
from serving.tracing.spans import step


def add_events(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/events`."""

    @app.post(
        "/v1/events",
        operation_id="send_events",
        status_code=207,
        dependencies=[Depends(takes_json)],
        responses={207: {"model": EventsReply}, **instead(StoreUnavailable)},
        summary="What people did",
    )
    async def take_events(body: EventsBody, request: Request) -> Response:
        """Each event is judged by itself; one that is sent again changes nothing. The next reply knows of it."""
        most = parts.config.max_events
        if len(body.events) > most:
            raise RequestRefused([Fault("#/events", f"a batch has at most {most} events")])
        now = time.time()
        tenant = caller_of(request).tenant
        judged = judge(body.events, now, tenant=tenant)
        new = await ingest(judged, parts.people, parts.live.model, parts.metrics, parts.feedback.of(tenant), now)
        attribute(parts, judged)
        with step("settle ads"):
            await settle(judged, parts.desk, parts.attribution, parts.metrics)
        outcomes = [
            EventOutcome(index=index, status=201 if new[index] else 200)
            if index in new
            else EventOutcome(index=index, status=422, problem=refused(judged.refused[index]).body())
            for index in range(len(body.events))
        ]
        return json_reply(EventsReply(events=outcomes), 207)
