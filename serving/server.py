"""The server: a process that listens, watches the registry, and finishes what it has begun when told to stop."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import NoReturn

from threadpoolctl import threadpool_limits

from feature_store.encryption import KeyRing, keys_from_environment, keys_from_file
from feature_store.item_store import ItemStore
from feature_store.item_store_redis import open_redis_items
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.memory import open_memory
from feature_store.redis_settings import with_password
from feature_store.redis_store import open_redis
from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from serving.access.polling import PolledSelector
from serving.ads.books import Books, open_books
from serving.ads.desk import AdDesk
from serving.ads.places import LivePlaces
from serving.app import create_app
from serving.assortment.following import follow
from serving.assortment.stock import Stock
from serving.binding import bound
from serving.config import ServingConfig
from serving.indexing import IndexSettings, keep_indexed
from serving.late_graph import LateGraph, Opening, opened_late
from serving.listening import listen
from serving.live import FOLLOWED, LiveModel
from serving.logs import log_to_stderr
from serving.metrics import create_metrics
from serving.outliving import outliving
from serving.placements.settings import Placement
from serving.recall import RecallProbe
from serving.settings_files import read_files, verticals_of
from serving.sweep import keep_folded_in
from serving.tracing.opening import exporting
from serving.trials import Trials
from serving.watched_file import watch
from serving.workers.siblings import NoSiblings, Siblings

_LOG = logging.getLogger("serving.server")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_SWITCH_SECONDS = 0.0005  # that a thread beside the event loop keeps the interpreter while requests wait for it


def run(
    config: ServingConfig, listening: Callable[[str], None] | None = None, siblings: Siblings | None = None
) -> None:
    """Serve by this process, until SIGTERM or SIGINT. The log goes to stderr; stdout is not written to.

    BLAS gets one thread, unless the environment says how many (`OPENBLAS_NUM_THREADS`): requests are what runs side by
    side here, and on a busy machine a product that was shared out waits for its last thread. Python's threads give way
    to the event loop after half a millisecond, of the whole process: a swap's own thread else keeps requests for five.

    listening: called with the address, such as `http://127.0.0.1:8080`, once requests are accepted.
    siblings: the workers beside this one; None where the server is one process.

    Raises:
        BadInput: a trusted key cannot be read, or there are no keys for the store.
        StoreError: the store cannot be opened.
        OSError: the address cannot be listened on.
    """
    log_to_stderr(None if siblings is None else siblings.number)
    sys.setswitchinterval(_SWITCH_SECONDS)
    selector = PolledSelector()
    with _blas_threads(), asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(serve(config, listening, lambda: selector.unread_since, siblings))


def _blas_threads() -> AbstractContextManager[object]:
    return nullcontext() if _BLAS_THREADS in os.environ else threadpool_limits(1, user_api="blas")


async def serve(
    config: ServingConfig,
    listening: Callable[[str], None] | None = None,
    unread_since: Callable[[], float] = time.monotonic,
    siblings: Siblings | None = None,
) -> None:
    """As `run`, within a running event loop, leaving the log as it is; cancelling it is like SIGTERM.

    unread_since: see `serving.connections.protocol`.
    """
    metrics = create_metrics()
    trusted = TrustedKeys(PublicKey.load(path) for path in config.trusted_keys)
    registry = Registry(config.registry, trusted, config.copies)
    files = read_files(config, metrics)
    is_worker, siblings = siblings is not None, siblings or NoSiblings()
    with bound(config, shared=is_worker) as taken, exporting(config.traces, metrics.registry) as export:
        async with (
            siblings.joined(),
            _stores(config) as stores,
            _graph(config) as graph,
            _catalogues(config) as catalogues,
            asyncio.TaskGroup() as tasks,
        ):
            stock = Stock(catalogues, files.verticals())
            stocks = (stock, Stock(catalogues, files.verticals(), beside=stock))
            live, shadow = (
                LiveModel(
                    registry, metrics, config.watch_seconds, kept, stage, config.max_model_bytes, config.index_folder
                )
                for kept, stage in zip(stocks, FOLLOWED, strict=True)
            )
            live.beside, shadow.beside = shadow, live
            if files.placements_file is not None:
                files.placements_file.before_use(lambda new: _stock_up((live, shadow), new))
            trials = Trials(shadow, config.trial, registry, metrics)
            recall = RecallProbe(config.recall_share, metrics)
            places = LivePlaces(files.placements, lambda: live.stock.shown)
            is_kept = config.ad_counters is not None or config.redis is not None
            desk = AdDesk(places, catalogues, config.store_timeout_seconds, config.ads_seconds, is_kept=is_kept)
            beside = [
                tasks.create_task(live.watch()),
                tasks.create_task(shadow.watch()),
            ]
            aside: dict[str, Callable[[], Awaitable[NoReturn]]] = {
                "trials": lambda: trials.watch(config.watch_seconds),
                "catalogues": lambda: follow(
                    lambda: (*live.stock.followers(), *shadow.stock.followers()), config.catalogue_seconds
                ),
                "ads": lambda: desk.run(lambda: _books(config)),
                "recall": recall.run,
                "indexing": lambda: keep_indexed(
                    lambda: (live.model, shadow.model),
                    IndexSettings(config.index, config.index_recall, config.index_folder),
                    config.watch_seconds,
                ),
                # One for each file: one that cannot be dealt with leaves the others watched.
                **{file.what: partial(watch, (file,), config.watch_seconds) for file in files.watched},
            }
            if siblings.number == 0:  # once for all workers
                aside["folding in"] = lambda: keep_folded_in(live, stores, config.watch_seconds)
            beside += [tasks.create_task(outliving(what, task, config.watch_seconds)) for what, task in aside.items()]
            if is_worker:  # others can answer meanwhile, and shall: one without a model would take requests from them
                await live.has_looked()
            await listen(
                create_app(
                    config,
                    live,
                    stores,
                    metrics,
                    desk,
                    catalogues,
                    graph,
                    files=files,
                    trials=trials,
                    registry=registry,
                    recall=recall,
                    tracer=None if export is None else export.tracer,
                    siblings=siblings,
                ),
                taken,
                config,
                files.certificate,
                listening,
                unread_since,
                None if export is None else export.close,
            )
            for task in beside:
                task.cancel()


async def _stock_up(models: Iterable[LiveModel], placements: Mapping[str, Placement]) -> None:
    """Have the catalogues of new placements at hand before they are used."""
    for model in models:
        await model.stock_up(verticals_of(placements))


@asynccontextmanager
async def _stores(config: ServingConfig) -> AsyncIterator[LocalStores]:
    if config.store is None and config.redis is None:
        _LOG.warning("no store is set: what people do is kept in memory, and forgotten when this process ends")
        yield open_memory()
        return
    keys = _keys(config)
    if config.store is not None:
        # Half of the time: SQLite gives up first and says why, and its thread is free again when we give up.
        async with open_sqlite(config.store, keys, busy_seconds=config.store_timeout_seconds / 2) as stores:
            yield stores
    elif config.redis is not None:
        async with open_redis(with_password(config.redis), keys, may_be_away=True) as stores:
            yield stores


def _keys(config: ServingConfig) -> KeyRing:
    """What seals all that is kept of people."""
    return keys_from_environment() if config.store_keys is None else keys_from_file(config.store_keys)


@asynccontextmanager
async def _graph(config: ServingConfig) -> AsyncIterator[LateGraph | None]:
    opening: Opening | None = None
    if config.social_graph is not None:
        opening = partial(open_sqlite_graph, config.social_graph, _keys(config), config.store_timeout_seconds / 2)
    elif config.redis is not None:
        opening = partial(open_redis_graph, with_password(config.redis), _keys(config))
    if opening is None:
        yield None
        return
    async with opened_late(opening) as graph:
        yield graph


def _books(config: ServingConfig) -> AbstractAsyncContextManager[Books]:
    """What ads have spent and who saw them: beside the people, or forgotten with the process."""
    keys = None if config.ad_counters is None and config.redis is None else _keys(config)
    redis = None if config.redis is None else with_password(config.redis)
    return open_books(keys, config.ad_counters, redis, busy_seconds=config.store_timeout_seconds / 2)


@asynccontextmanager
async def _catalogues(config: ServingConfig) -> AsyncIterator[ItemStore | None]:
    if config.items is not None:
        async with open_sqlite_items(config.items) as items:
            yield items
    elif config.items_redis is not None:
        async with open_redis_items(with_password(config.items_redis)) as items:
            yield items
    else:
        yield None
