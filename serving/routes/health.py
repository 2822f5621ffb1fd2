"""`GET /livez`, `/readyz`, `/metrics` and `/version`."""

import asyncio
import importlib.metadata

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, PlainTextResponse, Response

from serving.live import LiveModel
from serving.openapi import OPEN_TO_ALL, described
from serving.problems import respond, unready
from serving.replies import Liveness, Readiness
from serving.routes.parts import Parts
from serving.schemas import Version
from serving.workers.sharing import all_samples


def add_health(app: FastAPI, parts: Parts) -> None:
    """`GET /livez`, `/readyz`, `/metrics` and `/version`."""
    hearth = importlib.metadata.version("hearth-recommender")

    @app.get(
        "/livez",
        operation_id="get_liveness",
        summary="Whether the process answers; asks nothing else",
        openapi_extra=OPEN_TO_ALL,
    )
    async def livez() -> Liveness:
        """For an orchestrator that restarts what does not answer. Answered whatever the load."""
        return Liveness(status="ok")

    @app.get(
        "/readyz",
        operation_id="get_readiness",
        responses={200: {"model": Readiness}, **described(unready({}))},
        summary="Whether recommendations are answered; a store that is down does not keep them back",
        openapi_extra=OPEN_TO_ALL,
    )
    async def readyz() -> Response:
        """For a balancer. `checks` says what was looked at, in a 503 too."""
        checks = {"model": _model_check(parts.live), **await _store_checks(parts), **_catalogue_check(parts.live)}
        checks |= parts.files.checks()
        if parts.live.model is None:
            return respond(unready(checks))
        return JSONResponse({"status": "ok", "checks": checks})

    @app.get("/metrics", operation_id="get_metrics", summary="For Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """What this server has counted and measured. It may be told to give it without a key.

        Of a server that is several processes each sample says whose it is, by the label `worker`.
        """
        return Response(await all_samples(parts), media_type=CONTENT_TYPE_LATEST)

    @app.get("/version", operation_id="get_version", summary="What runs here", openapi_extra=OPEN_TO_ALL)
    async def version() -> Version:
        """The version of the program, and the checkpoint that answers."""
        model = parts.live.model
        return Version(hearth=hearth, model_id=None if model is None else model.model_id)


def _model_check(live: LiveModel) -> dict[str, object]:
    check: dict[str, object] = {"status": "ok" if live.model else "missing"}
    if live.model is not None:
        check["model_id"] = live.model.model_id
    elif live.missing is not None:
        check["reason"] = live.missing
    if live.failure is not None:
        check["failure"] = {"model_id": live.failure.model_id, "reason": live.failure.reason}
    return check


def _catalogue_check(live: LiveModel) -> dict[str, object]:
    """Whether lists are made of what the catalogues say now; nothing where no placement shows one."""
    followers = live.stock.followers()
    if not followers:
        return {}
    failure = next((follower.failure for follower in followers if follower.failure is not None), None)
    return {"catalogue": {"status": "ok"} if failure is None else {"status": "stale", "reason": failure}}


async def _store_checks(parts: Parts) -> dict[str, object]:
    """Of what lists are made with: the store, and where a placement needs them, the graph and the counters of ads.

    All are asked together: the reply waits for the slowest of them, and an orchestrator's patience is short.
    """
    asked = {"store": parts.people.answers()}
    if any(placement.uses_graph for placement in parts.files.placements().values()):
        asked["social-graph"] = parts.neighbourhood.answers()
    if parts.desk.known.places.verticals():
        asked["ad-counters"] = parts.desk.answers()
    found = await asyncio.gather(*asked.values())
    return {name: {"status": "ok" if answers else "unavailable"} for name, answers in zip(asked, found, strict=True)}
