"""The trial that is going on: that of the model in the shadow stage, as long as it is there.

When a guardrail says so (`serving.trial`), nothing more of that model is shown by this server, at once; and its stage
is taken from it in the registry, so that other servers drop it too. Where the registry cannot be written to, they come
to their own verdicts.
"""

import asyncio
import logging
from typing import NoReturn

from feature_store.errors import HearthError
from feature_store.registry import Registry
from serving.live import LiveModel
from serving.metrics import Metrics
from serving.trial import Trial, TrialSettings

_LOG = logging.getLogger("serving.trials")


class Trials:
    """Watches over the trial of the model that `shadow` follows."""

    def __init__(self, shadow: LiveModel, settings: TrialSettings, registry: Registry, metrics: Metrics) -> None:
        self.shadow = shadow
        self._settings, self._registry, self._metrics = settings, registry, metrics
        self._trial: Trial | None = None

    def current(self) -> Trial | None:
        """The trial of the model in the shadow stage; None where there is none."""
        model = self.shadow.model
        if model is None:
            self._trial = None
        elif self._trial is None or self._trial.model_id != model.model_id:
            self._trial = Trial(model.model_id, self._settings)
        return self._trial

    async def watch(self, every_seconds: float) -> NoReturn:
        """Ask for the verdict again and again, until cancelled."""
        while True:
            await self.judge()
            await asyncio.sleep(every_seconds)

    async def judge(self) -> None:
        """End the trial where a guardrail says so."""
        trial = self.current()
        if trial is None or trial.stopped is not None or (verdict := trial.verdict()) is None:
            return
        trial.stopped = verdict
        self._metrics.trials_stopped.inc()
        _LOG.error("trial stopped", extra={"fields": {"model_id": trial.model_id, "why": verdict}})
        try:
            await asyncio.to_thread(self._registry.promote, trial.model_id, "candidate", who="a guardrail", why=verdict)
        except (HearthError, OSError) as error:
            fields = {"model_id": trial.model_id, "reason": type(error).__name__}
            _LOG.warning("shadow not taken back", extra={"fields": fields})
