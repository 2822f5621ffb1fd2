"""The app: routes, problems and observation put together, as one ASGI callable."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from opentelemetry.trace import Tracer
from starlette.types import ASGIApp

from feature_store.item_store import ItemStore
from feature_store.registry import Registry
from feature_store.stores import LocalStores, PlaceOfPeople
from serving.access.allowance import Allowances
from serving.access.gate import guarded
from serving.access.origins import allowing
from serving.access.shedding import shedding
from serving.access.turning_away import turning_away
from serving.ads.desk import AdDesk
from serving.attribution import Attribution
from serving.breaker import Breaker
from serving.config import ServingConfig
from serving.erasures import Erasures
from serving.error_problems import install
from serving.feedback import FeedbackByTenant
from serving.late_graph import LateGraph
from serving.live import LiveModel
from serving.metrics import Metrics
from serving.neighbours import Neighbourhood
from serving.observed import observed
from serving.online import Online
from serving.openapi import PROBLEMS, describe_problems
from serving.people import People
from serving.recall import RecallProbe
from serving.routes.bundles import add_bundles
from serving.routes.direct import directly
from serving.routes.events import add_events
from serving.routes.health import add_health
from serving.routes.items import add_items
from serving.routes.models import add_models
from serving.routes.parts import Parts
from serving.routes.privacy import add_privacy
from serving.routes.recommend import add_recommend
from serving.settings_files import SettingsFiles
from serving.trials import Trials
from serving.workers.sharing import share, tell_counts, tell_taken
from serving.workers.siblings import NoSiblings, Siblings


def create_api(parts: Parts) -> FastAPI:
    """The HTTP interface; its `openapi()` describes it."""
    api = FastAPIOffline(  # its page at /docs loads nothing from elsewhere
        title="Hearth",
        summary="Recommendations that stay by the hearth.",
        redoc_url=None,
        static_url="/docs-assets",
        redirect_slashes=False,  # a redirect would repeat the address that was sent
        responses=PROBLEMS,
    )
    of_documents = list(api.router.routes)
    install(api)
    describe_problems(api)
    add_recommend(api, parts)
    add_events(api, parts)
    add_items(api, parts)
    add_bundles(api, parts)
    add_privacy(api, parts)
    add_models(api, parts)
    add_health(api, parts)
    api.router.routes[:] = [route for route in api.router.routes if route not in of_documents] + of_documents
    return api


def description() -> dict[str, Any]:
    """The API as an OpenAPI document, which is the same whatever a server is configured to."""
    return create_api(cast("Parts", None)).openapi()  # routes take their parts when they are called


def create_app(
    config: ServingConfig,
    live: LiveModel,
    stores: LocalStores,
    metrics: Metrics,
    desk: AdDesk,
    catalogues: ItemStore | None = None,
    graph: LateGraph | None = None,
    *,
    files: SettingsFiles,
    trials: Trials,
    registry: Registry,
    recall: RecallProbe,
    tracer: Tracer | None = None,
    siblings: Siblings | None = None,
) -> ASGIApp:
    """All of it, from the request's id to the reply.

    The caller opens and closes the stores, and runs the watch, the desk and the probe, and looks at the files.

    tracer: makes the spans of requests; None for none.
    siblings: the workers beside this one; None for none.
    """
    siblings = siblings or NoSiblings()
    people = People(stores, config.store_timeout_seconds)
    for way, breaker in (("read", people.reading), ("write", people.writing)):
        metrics.store_paused.labels(way).set_function(partial(_is_open, breaker))
    metrics.ads_paused.set_function(lambda: float(desk.is_paused))
    neighbourhood = Neighbourhood(graph, stores.events, config.store_timeout_seconds)
    feedback = FeedbackByTenant(
        3600.0 * config.feedback_half_life_hours, config.feedback_items, partial(tell_counts, siblings)
    )
    parts = Parts(
        config,
        live,
        people,
        metrics,
        feedback,
        neighbourhood,
        desk,
        catalogues,
        files=files,
        trials=trials,
        attribution=Attribution(),
        online=Online(metrics),
        erasures=Erasures(stores, partial(_further, graph, desk)),
        registry=registry,
        recall=recall,
        siblings=siblings,
    )
    allowances = Allowances(tell=partial(tell_taken, siblings))
    share(parts, allowances)
    api = create_api(parts)
    turn_away = turning_away(api.router.routes, metrics.turned_away)
    app = shedding(directly(api), config.max_under_way, config.queue_seconds, turn_away)
    if files.keys is not None:
        app = guarded(app, files.keys, allowances, turn_away, open_metrics=config.open_metrics)
    app = allowing(app, config.allowed_origins)
    return observed(app, metrics, files.placements, config.max_body_bytes, config.body_seconds, tracer)


def _is_open(breaker: Breaker) -> float:
    return float(breaker.is_open)


async def _further(graph: LateGraph | None, desk: AdDesk) -> Mapping[str, PlaceOfPeople]:
    """What holds something of people beside the stores, opened where it is not yet."""
    places: dict[str, PlaceOfPeople] = {} if graph is None else {"social_graph": await graph.graph()}
    counters = await desk.counters()
    return places if counters is None else {**places, "ad_counters": counters}
