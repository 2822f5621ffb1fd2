"""The peer that a server cannot beat: the same HTTP, checks, log and metrics, and always the same bytes as the reply.

What it takes is the price of a request that nobody has to think about; the rest of a real server's is what the list
takes. It is put together from the parts of `serving.app` and `serving.server`: connections and their limits, the event
loop, load shedding, observation, the way past the framework, JSON, and the schema that the body is held to.
"""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI
from fastapi import Path as InPath
from fastapi_offline import FastAPIOffline
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from benchmarks.serving_load_peers import tell_address
from serving.access.gate import caller_of
from serving.access.origins import allowing
from serving.access.polling import PolledSelector
from serving.access.shedding import shedding
from serving.access.turning_away import turning_away
from serving.config import ServingConfig
from serving.connections import http_settings
from serving.error_problems import install
from serving.errors import UnknownPlacement
from serving.logs import log_to_stderr
from serving.metrics import create_metrics
from serving.observed import observed
from serving.openapi import PROBLEMS
from serving.routes.direct import answer_directly, directly
from serving.routes.parts import takes_json
from serving.schemas import RecommendBody, RecommendReply


def constant_app(config: ServingConfig, content: bytes) -> ASGIApp:
    """The app, which has one route."""
    metrics = create_metrics()
    api: FastAPI = FastAPIOffline(
        title="Constant", redoc_url=None, static_url="/docs-assets", redirect_slashes=False, responses=PROBLEMS
    )
    install(api)

    @api.post(
        "/v1/placements/{placement}:recommend",
        dependencies=[Depends(takes_json)],
        responses={200: {"model": RecommendReply}},
    )
    async def recommend_items(placement: Annotated[str, InPath()], body: RecommendBody, request: Request) -> Response:
        caller_of(request)
        if placement not in config.placements or body.k > config.max_k:
            raise UnknownPlacement(placement)
        return Response(content, media_type="application/json")

    answer_directly(api, recommend_items, RecommendBody)
    turn_away = turning_away(api.router.routes, metrics.turned_away)
    app = shedding(directly(api), config.max_under_way, config.queue_seconds, turn_away)
    app = allowing(app, config.allowed_origins)
    return observed(app, metrics, lambda: config.placements, config.max_body_bytes, config.body_seconds)


def main(config_file: str, content_file: str, address_file: str) -> None:
    """Serve until the process is ended; where, stands in the last file once somebody may ask."""
    log_to_stderr()
    config = ServingConfig.model_validate_json(Path(config_file).read_bytes())
    app, selector = constant_app(config, Path(content_file).read_bytes()), PolledSelector()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.bind((config.host, 0))
        settings = http_settings(app, config, asyncio.Event(), lambda: selector.unread_since)
        bound.listen()
        tell_address(bound, Path(address_file))
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            runner.run(uvicorn.Server(settings).serve([bound]))


if __name__ == "__main__":
    main(*sys.argv[1:])
