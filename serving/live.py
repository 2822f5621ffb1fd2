"""The live model: the one name that requests read, and the watch that assigns it when another version is promoted.

The model in the shadow stage is followed likewise, by a second `LiveModel`; both are in memory then.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from feature_store.errors import HearthError
from feature_store.registry import Registry
from feature_store.stages import Stages
from serving.assortment.stock import Stock
from serving.errors import NoModel
from serving.headroom import require_headroom
from serving.metrics import Metrics
from serving.model import ServingModel, build_model

_LOG = logging.getLogger("serving.live")
_LONGEST_WAIT = 60.0  # seconds between attempts to load a checkpoint that failed before


Followed: TypeAlias = Literal["production", "shadow"]
Missing: TypeAlias = Literal["nothing-published", "nothing-promoted"]
FOLLOWED: tuple[Followed, ...] = ("production", "shadow")


@dataclass(frozen=True, slots=True)
class SwapFailure:
    """Why the promoted checkpoint is not the one that answers.

    model_id: the checkpoint that failed; None where the registry could not say which is promoted.
    reason: the name of the error; its message is in the log.
    """

    model_id: str | None
    reason: str


class LiveModel:
    """Holds the model that answers. A reader takes it once a request, and so gets one checkpoint throughout.

    watch_seconds: between two looks at the registry.
    stock: makes the assortments of a new model; without one, they are what the model knows.
    stage: which stage of the registry is followed.
    max_model_bytes: see `serving.headroom.require_headroom`.
    index_folder: see `serving.model.build_model`.

    Its `missing` says why nothing has answered yet, as far as the registry itself is in order. Its `beside`, where that
    is set, follows another stage of the same registry: what it has loaded is taken from there, and not loaded again.
    """

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        watch_seconds: float,
        stock: Stock | None = None,
        stage: Followed = "production",
        max_model_bytes: int | None = None,
        index_folder: Path | None = None,
    ) -> None:
        self.model: ServingModel | None = None
        self.stock = stock or Stock()
        self.failure: SwapFailure | None = None
        self.missing: Missing | None = None
        self.beside: LiveModel | None = None
        self.stage = stage
        self._registry = registry
        self._metrics = metrics
        self._watch_seconds = watch_seconds
        self._max_model_bytes = max_model_bytes
        self._index_folder = index_folder
        self._attempts = 0
        self._not_before = 0.0
        self._stocking = asyncio.Lock()
        self._has_looked = asyncio.Event()

    def current(self) -> ServingModel:
        """The model that answers; raises `NoModel`."""
        if self.model is None:
            raise NoModel("no checkpoint has been promoted that could be loaded")
        return self.model

    async def watch(self) -> NoReturn:
        """Look again and again, until cancelled; after an error that none foresaw, first wait as after any other."""
        while True:
            wait = self._watch_seconds
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a watch that ended would take down a server that answers well
                self._failed(None, error)
                wait = max(wait, self._not_before - time.monotonic())
            self._has_looked.set()
            await asyncio.sleep(wait)

    async def has_looked(self) -> None:
        """Return once it was looked for the first time, whatever was found."""
        await self._has_looked.wait()

    async def look(self) -> None:
        """Look once: where another checkpoint is promoted than answers, load it aside, then put it in its place.

        Whatever fails, the present model goes on answering. A checkpoint that failed is tried again after a wait
        that doubles; another one at once. As long as there is no model, the catalogues alone are shown.
        """
        try:
            await self._catch_up()
        except Exception:
            await self._show_catalogues()
            raise
        await self._show_catalogues()

    async def _catch_up(self) -> None:
        try:
            stages = await asyncio.to_thread(self._registry.stages)
        except (HearthError, OSError) as error:
            if self._is_due(None):
                self._failed(None, error)
            return
        promoted = self._of_stage(stages)
        if promoted is None:
            if self.stage == "shadow":  # what answers requests goes on, whatever the registry says; a shadow can go
                if not self._is_to_be_taken_from_here(stages):
                    self._drop()
            elif self.model is None:
                await self._say_what_is_missing()
            return
        if self.model is not None and self.model.model_id == promoted:
            self.failure = None
            return
        if not self._is_due(promoted):
            return
        try:
            model = await self._loaded(promoted)
            async with self._stocking:
                stocked = await self.stock.for_model(model)
                self._swap(model)
                self.stock.shown = stocked
                # What is there now stays: to look through it for garbage, catalogues and all, would keep requests
                # waiting for a tenth of a second, again and again. The model that goes needs no such look.
                gc.freeze()
        except (HearthError, OSError) as error:
            self._failed(promoted, error)

    async def stock_up(self, verticals: Iterable[str]) -> None:
        """Have the catalogues of these verticals as well, before anybody is shown them."""
        async with self._stocking:
            if self.stock.add(verticals) and self.stock.shown:
                self.stock.shown = await self.stock.for_model(self.model)

    async def _loaded(self, model_id: str) -> ServingModel:
        there = None if self.beside is None else self.beside.model
        if there is not None and there.model_id == model_id:
            return there
        return await asyncio.to_thread(self._build, model_id)

    def _is_to_be_taken_from_here(self, stages: Stages) -> bool:
        """Whether this model was just promoted, and production has yet to look: it stays until then."""
        if self.model is None or self.beside is None or self.model.model_id != stages.production:
            return False
        return self.beside.model is None or self.beside.model.model_id != stages.production

    async def _show_catalogues(self) -> None:
        if self.model is not None or self.stage == "shadow":
            return
        async with self._stocking:
            if not self.stock.shown:
                self.stock.shown = await self.stock.for_model(None)

    def _of_stage(self, stages: Stages) -> str | None:
        return stages.production if self.stage == "production" else stages.shadow

    async def _say_what_is_missing(self) -> None:
        """Once, until it is another thing: a registry whose place was mistyped looks like one that is new."""
        try:
            published = await asyncio.to_thread(self._registry.checkpoint_ids)
        except (HearthError, OSError) as error:
            if self._is_due(None):
                self._failed(None, error)
            return
        missing: Missing = "nothing-promoted" if published else "nothing-published"
        if missing != self.missing:
            fields = {"reason": missing, "registry": str(self._registry.place)}
            _LOG.warning("no model: requests are answered once a checkpoint is promoted", extra={"fields": fields})
        self.missing = missing

    def _drop(self) -> None:
        if self.model is not None:
            self._metrics.model_info.remove(self.stage, self.model.model_id)
            _LOG.info("model dropped", extra={"fields": {"stage": self.stage, "model_id": self.model.model_id}})
        self.model, self.failure = None, None
        self.stock.clear()  # it holds the model's vectors

    def _build(self, model_id: str) -> ServingModel:
        require_headroom(self._registry.manifest(model_id), self._max_model_bytes)
        return build_model(self._registry.load(model_id), self._index_folder)

    def _swap(self, model: ServingModel) -> None:
        before, self.model, self.failure, self._attempts = self.model, model, None, 0
        if before is not None:
            self._metrics.model_info.remove(self.stage, before.model_id)
        self._metrics.model_info.labels(self.stage, model.model_id).set(1)
        self._metrics.swaps.labels(self.stage, "success").inc()
        names = {"stage": self.stage, "model_id": model.model_id, "before": None if before is None else before.model_id}
        _LOG.info("model swapped", extra={"fields": names})

    def _is_due(self, model_id: str | None) -> bool:
        return self.failure is None or self.failure.model_id != model_id or time.monotonic() >= self._not_before

    def _failed(self, model_id: str | None, error: Exception) -> None:
        again = self.failure is not None and self.failure.model_id == model_id
        self._attempts = self._attempts + 1 if again else 1
        self._not_before = time.monotonic() + min(self._watch_seconds * 2.0**self._attempts, _LONGEST_WAIT)
        self.failure = SwapFailure(model_id, type(error).__name__)
        self._metrics.swaps.labels(self.stage, "failure").inc()
        answering = None if self.model is None else self.model.model_id
        fields = {
            "stage": self.stage,
            "model_id": model_id,
            "answering": answering,
            "reason": type(error).__name__,
            "detail": str(error),
        }
        _LOG.error("model not swapped", extra={"fields": fields})
