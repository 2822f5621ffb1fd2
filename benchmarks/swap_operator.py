"""An operator: promotes, tries and rolls back while others ask, and notes when each began, took effect and ended."""

import time
from collections.abc import Callable
from typing import TypeAlias

from benchmarks.served import Served
from benchmarks.swap_figures import QUIET, Phase
from feature_store.registry import Registry

_SETTLES = 1.5  # seconds that a phase goes on after its change had its effect, at least

Report: TypeAlias = Callable[[str, int, int], None]
"""Is told what is being done, how many phases are over, and how many there are."""


class Told:
    """What a report is told, phase by phase."""

    def __init__(self, report: Report, phases: int) -> None:
        self._report, self._phases, self._over = report, phases, 0

    def step(self, doing: str) -> None:
        """Something begins."""
        self._report(doing, self._over, self._phases)

    def ended(self) -> None:
        """A phase is over."""
        self._over += 1


class Operator:
    """Changes stages over HTTP as people do; each change is a phase.

    phases: those that are over.
    name: of the server, for who waits.
    seconds: that a phase lasts at least.
    """

    def __init__(self, server: Served, registry: Registry, name: str, seconds: float, told: Told) -> None:
        self.phases: list[Phase] = []
        self._server, self._registry, self._name, self._seconds, self._told = server, registry, name, seconds, told

    def quiet(self) -> None:
        """Do nothing."""
        self._phase(QUIET, lambda _: time.monotonic() + self._seconds / 2)

    def promote(self, kind: str, model_id: str) -> None:
        """Put that model into production; the phase lasts until all people are folded in for it."""

        def act(since: int) -> float:
            self._server.post(f"/v1/models/{model_id}:promote", {"reason": "benchmark"})
            return self._swapped(model_id, since)

        self._phase(kind, act)

    def roll_back(self, kind: str, model_id: str) -> None:
        """Put what was in production before that model back, likewise."""

        def act(since: int) -> float:
            before = self._registry.stages().previous[-1]
            self._server.post(f"/v1/models/{model_id}:roll-back", {"reason": "benchmark"})
            return self._swapped(before, since)

        self._phase(kind, act)

    def shadow(self, kind: str, model_id: str) -> None:
        """Put that model on trial."""
        self._phase(kind, lambda since: self._on_trial(model_id, since))

    def until_stopped(self, kind: str, model_id: str) -> None:
        """Put that model on trial, and wait until a guardrail has ended the trial: that is the effect."""

        def act(since: int) -> float:
            self._on_trial(model_id, since)
            stopped = self._server.logged(since, "trial stopped", model_id=model_id)
            self._server.logged(since, "model dropped", model_id=model_id)
            return stopped

        self._phase(kind, act)

    def withdraw(self, model_id: str) -> None:
        """End the trial of that model, as `hearth models promote --to candidate` does; belongs to no phase."""
        since = self._server.log_size()
        self._registry.promote(model_id, "candidate")
        self._server.logged(since, "model dropped", model_id=model_id)

    def _phase(self, kind: str, act: Callable[[int], float]) -> None:
        """act: takes the size of the log and gives the time at which the change took effect."""
        self._told.step(f"{self._name}: {kind}")
        since, began = self._server.log_size(), time.monotonic()
        with self._server.highest_memory() as samples:
            effect = act(since)
            end = max(began + self._seconds, effect + (0.0 if kind == QUIET else _SETTLES))
            time.sleep(max(0.0, end - time.monotonic()))
        self.phases.append(Phase(kind, began, effect, time.monotonic(), samples[0], max(samples)))
        self._told.ended()

    def _swapped(self, model_id: str, since: int) -> float:
        effect = self._server.logged(since, "model swapped", model_id=model_id, stage="production")
        self._server.logged(since, "people folded in", model_id=model_id)
        return effect

    def _on_trial(self, model_id: str, since: int) -> float:
        self._server.post(f"/v1/models/{model_id}:shadow", {"reason": "benchmark"})
        return self._server.logged(since, "model swapped", model_id=model_id, stage="shadow")
