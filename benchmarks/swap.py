"""Swaps under load: what promotions, trials and roll-backs cost the requests beside them, on a real server.

Two servers one after the other: on the first nobody is shown the model on trial, on the second a share of people is.
Each goes through its phases several times, quiet ones between the others, while requests come at a steady rate from
another process.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import provenance
from benchmarks.open_load import LoadPlan, running_load
from benchmarks.served import served
from benchmarks.swap_figures import figures_of, worst
from benchmarks.swap_operator import Operator, Report, Told
from benchmarks.swap_world import Size, World
from feature_store.errors import BadInput
from serving.trial import TrialSettings

_MOST_RATIO = 1.2  # of the p99 of any kind of phase to that of the quiet ones
_CONNECTIONS = 16
_ASKING = 8  # at once, where capacity is measured
_CAPACITY_SECONDS = 4.0
_FIRST_SECONDS = 2.0  # of the load, before the first phase: connections and caches are none of a swap's business
_LEAST_CLICKS = 20  # that a guardrail wants to have seen: a bad canary is to be found out within a phase or two


class SwapLoad(NamedTuple):
    """How much is asked.

    rate: requests a second; None for a share of what the server was found to answer.
    share: of that.
    events: share of requests that tell of what was seen and clicked.
    people_on_trial: share of people whom the canary answers.
    seconds: of a phase, at least.
    turns: how often each phase comes.
    """

    rate: float | None = None
    share: float = 0.4
    events: float = 0.1
    people_on_trial: float = 0.2
    seconds: float = 8.0
    turns: int = 3


def measure_swap(size: Size, load: SwapLoad, report: Report) -> dict[str, Any]:
    """Latencies and failures by phase as one JSON object.

    Raises:
        BadInput: a load that nobody can ask.
        ServerFailed: a server did not do what it was asked to.
    """
    if not 0 < load.share <= 1 or (load.rate is not None and not load.rate > 0):
        raise BadInput(f"a load has a rate above 0, and a share up to 1; got rate={load.rate}, share={load.share}")
    told = Told(report, len(_TURNS) + load.turns * sum(phases for _, phases in _TURNS.values()))
    rate, servers = load.rate, {}
    with tempfile.TemporaryDirectory(prefix="hearth-swap-") as folder:
        told.step("publishing checkpoints")
        world = World(Path(folder), size)
        for name in _TURNS:
            servers[name] = _measured(world, load._replace(rate=rate), name, told)
            rate = servers[name]["rate"]
    together = [worst(of["kinds"]) for of in servers.values()]
    failures, ratio = sum(of["failed"] for of in together), max(of["ratio"] for of in together)
    met = failures == 0 and ratio < _MOST_RATIO
    return {
        "benchmark": "swap",
        **provenance(),
        "size": size._asdict(),
        "load": load._asdict(),
        "servers": servers,
        "targets": {"failed": failures, "p99_ratio": _MOST_RATIO, "worst_p99_ratio": ratio, "met": met},
    }


def _measured(world: World, load: SwapLoad, name: str, told: Told) -> dict[str, Any]:
    """The figures of one server's phases."""
    turn, _ = _TURNS[name]
    first, bad = world.publish(), world.publish()
    ahead = [world.publish() for _ in range(2 * load.turns)]  # later it would disturb the server
    world.registry.promote(first)
    share = load.people_on_trial if name == "canary" else 0.0
    with served(world.config(name, TrialSettings(share=share, least_clicks=_LEAST_CLICKS)), world.folder) as server:
        server.logged(0, "model swapped", model_id=first)
        told.step(f"{name}: people")
        world.tell_histories(server.post)
        plan = LoadPlan(load.rate, _CONNECTIONS, world.size.people, load.events, 1, (bad,))
        capacity = None
        if load.rate is None:
            told.step(f"{name}: how much the server can answer")
            capacity = _capacity(server.address, plan._replace(connections=_ASKING), world.folder)
            plan = plan._replace(rate=load.share * capacity, seed=2)
        with running_load(server.address, plan, world.folder) as running:
            time.sleep(min(_FIRST_SECONDS, load.seconds))
            operator = Operator(server, world.registry, name, load.seconds, told)
            for _ in range(load.turns):
                turn(operator, ahead, bad)
            operator.quiet()
            replies = running.end()
        server.stop()
    return {
        "rate": plan.rate,
        "capacity": capacity,
        "lateness": _lateness(replies),
        "kinds": figures_of(operator.phases, replies),
    }


def _turn_of_shadow(operator: Operator, ahead: list[str], _bad: str) -> None:
    new, tried = ahead.pop(), ahead.pop()
    operator.quiet()
    operator.promote("swap", new)
    operator.quiet()
    operator.shadow("shadow", tried)
    operator.withdraw(tried)
    operator.quiet()
    operator.roll_back("roll-back", new)


def _turn_of_canary(operator: Operator, ahead: list[str], bad: str) -> None:
    new = ahead.pop()
    operator.quiet()
    operator.shadow("canary", new)
    operator.promote("canary promoted", new)
    operator.quiet()
    operator.until_stopped("bad canary stopped", bad)
    operator.quiet()
    operator.roll_back("roll-back", new)


_TURNS: dict[str, tuple[Callable[[Operator, list[str], str], None], int]] = {
    "shadow": (_turn_of_shadow, 6),
    "canary": (_turn_of_canary, 7),
}
"""By server: what is done with it in each turn, and in how many phases."""


def _capacity(address: str, plan: LoadPlan, folder: Path) -> float:
    """Requests a second where a few people ask again and again."""
    with running_load(address, plan, folder) as load:
        time.sleep(_CAPACITY_SECONDS)
        done = np.sort(load.end()["done"])
    return float((len(done) - 1) / (done[-1] - done[0]))


def _lateness(replies: NDArray[Any]) -> dict[str, float]:
    """Milliseconds by which requests went out after they were due: the load's own part of all latencies."""
    late = 1e3 * (replies["sent"] - replies["due"])
    return {"p50_milliseconds": float(np.percentile(late, 50)), "p99_milliseconds": float(np.percentile(late, 99))}
