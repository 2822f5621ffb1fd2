"""Indexing: each model that comes to answer gets the indexes that suit it, built beside the requests.

Until they are built the exact index answers, and where they cannot be, it goes on. One thread builds, one
model after the other, and the kernel gives it what time requests leave (its priority is low). What was built is kept in
a folder, where there is one, and the next server of this machine maps it instead.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from serving.alone import alone_in
from serving.indexes.choice import IndexName, choose_index, quickest
from serving.indexes.item_index import ItemIndex, Kind
from serving.indexes.latest import LatestIndex
from serving.made_up_people import queries_by_kind
from serving.model import ServingModel
from serving.shelf import Shelf

_LOG = logging.getLogger("serving.indexing")
_MADE = 2  # the way in which indexes are made; what was kept by another one is made anew
_DEPTH = 300  # items that a placement asks for, where it does not say otherwise
_NICE = 10  # of 19


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What indexes a server builds.

    kind: "auto" leaves it to `serving.indexes.choice`.
    recall: of the best ten, what an index is to find.
    folder: where they are kept; None builds them anew in each process.
    """

    kind: IndexName = "auto"
    recall: float = 0.99
    folder: Path | None = None


class GivenUp(Exception):
    """The server ends, or the model no longer answers: nobody waits for the index."""


async def keep_indexed(
    models: Callable[[], Iterable[ServingModel | None]], settings: IndexSettings, look_seconds: float
) -> NoReturn:
    """Index each of the models that are there, until cancelled. `models` is asked each time: a swap brings others."""
    ends = threading.Event()

    def goes_on(model: ServingModel) -> None:
        if ends.is_set() or not any(one is model for one in models()):
            raise GivenUp(model.model_id)

    with ThreadPoolExecutor(1, "indexing", _step_back) as builder:
        try:
            while True:
                for model in tuple(models()):
                    if model is not None and not all(one.is_settled for one in _indexes(model)):
                        run = asyncio.get_running_loop().run_in_executor
                        await run(builder, _index, model, settings, goes_on)
                await asyncio.sleep(look_seconds)
        finally:
            ends.set()


def _index(model: ServingModel, settings: IndexSettings, goes_on: Callable[[ServingModel], None]) -> None:
    begun = time.monotonic()
    fields: dict[str, object] = {"model_id": model.model_id}
    try:
        kinds = index_model(model, settings, lambda: goes_on(model))
    except GivenUp:
        return
    except (OSError, MemoryError) as error:
        for one in _indexes(model):
            one.settle(None)
        reason = {"reason": type(error).__name__, "detail": str(error)}
        _LOG.warning("no index built, the exact one goes on answering", extra={"fields": fields | reason})
        return
    _LOG.info("indexed", extra={"fields": fields | {"indexes": kinds, "seconds": round(time.monotonic() - begun, 3)}})


def index_model(model: ServingModel, settings: IndexSettings, between: Callable[[], None] = lambda: None) -> list[Kind]:
    """Put the indexes that suit the model in the place of the exact ones; their kinds, in the order of its shelves.

    between: called every second or so; what it raises ends the work.
    """
    shelves = _shelves(model)
    kinds = [_kind(shelf, settings) for shelf in shelves]
    indexes: Sequence[ItemIndex | None] = [None] * len(shelves)
    if set(kinds) != {"exact"}:
        build = partial(_built, model, shelves, kinds, settings, between)
        indexes = _found_or_built(model, settings, build, between)
    for latest, index in zip(_indexes(model), indexes, strict=True):
        latest.settle(index)
    return ["exact" if index is None else index.kind for index in indexes]


def _found_or_built(
    model: ServingModel,
    settings: IndexSettings,
    build: Callable[[], Sequence[ItemIndex | None]],
    between: Callable[[], None],
) -> Sequence[ItemIndex | None]:
    from serving.indexes.files import IndexFiles  # noqa: PLC0415 - as in `_built`

    if settings.folder is None:
        return build()
    name = f"{model.model_id}.{settings.kind}.{settings.recall}.{_MADE}"
    matrices = [latest.matrix for latest in _indexes(model)]
    built: Sequence[ItemIndex | None] = ()
    try:
        files = IndexFiles(settings.folder)
        if (found := files.find(name, matrices)) is not None:
            return found
        with alone_in(settings.folder, between):  # others of this machine wait, with the exact index, and find it then
            if (found := files.find(name, matrices)) is not None:
                return found
            built = build()
            files.keep(name, built)
        return files.find(name, matrices) or built  # mapped, so that the processes of this machine have it once
    except OSError as error:
        fields = {"folder": str(settings.folder), "reason": type(error).__name__, "detail": str(error)}
        _LOG.warning("indexes are not kept: this process has them for itself", extra={"fields": fields})
        return built or build()


def _built(
    model: ServingModel,
    shelves: Sequence[Shelf],
    kinds: Sequence[Kind],
    settings: IndexSettings,
    between: Callable[[], None],
) -> Sequence[ItemIndex | None]:
    # FAISS takes a quarter of a second and its share of memory to load: a small catalogue does without.
    from serving.indexes.int8 import Int8Index  # noqa: PLC0415
    from serving.indexes.inverted import InvertedIndex  # noqa: PLC0415

    built: list[ItemIndex | None] = []
    for shelf, kind in zip(shelves, kinds, strict=True):
        between()
        index: ItemIndex | None = Int8Index.of(shelf.vectors) if kind == "int8" else None
        if kind == "inverted":
            queries = queries_by_kind(model, shelf)
            index = InvertedIndex.of(shelf.vectors, queries, settings.recall, between=between)
            if settings.kind == "auto":  # what it takes depends on how the items lie, which no rule knows
                index = quickest([index, Int8Index.of(shelf.vectors)], queries, _DEPTH, len(shelf.vectors))
        built.append(index)
    return built


def _kind(shelf: Shelf, settings: IndexSettings) -> Kind:
    items, numbers = shelf.vectors.shape
    return choose_index(items, numbers, recall_target=settings.recall) if settings.kind == "auto" else settings.kind


def _shelves(model: ServingModel) -> list[Shelf]:
    """All shelves of the model, each once: that of a model's only vertical is that of all items."""
    shelves = {id(shelf): shelf for shelf in (model.everything, *model.verticals.values())}
    return list(shelves.values())


def _indexes(model: ServingModel) -> list[LatestIndex]:
    return [shelf.index for shelf in _shelves(model) if isinstance(shelf.index, LatestIndex)]


def _step_back() -> None:
    """Let the threads that answer requests go first. Linux has a priority for each thread, others for processes."""
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
