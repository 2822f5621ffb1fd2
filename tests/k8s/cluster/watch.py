"""Watching over a container by its probes: started, ready, alive, as Kubernetes' documentation of probes has it."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.k8s.cluster.container import Running
from tests.k8s.cluster.probes import asked
from tests.k8s.cluster.standing import Standing
from tests.k8s.cluster.wrong import Wrong


class Watched(NamedTuple):
    """A container to watch over. address: of its pod; changed: told when it becomes ready, or is so no longer."""

    spec: dict[str, Any]
    running: Running
    standing: Standing
    address: str
    changed: Callable[[], None]


async def watch(watched: Watched) -> None:
    """Ask its probes at their times, and kill it where they say so."""
    spec = watched.spec
    try:
        if "startupProbe" in spec and not await _started(watched):
            watched.running.kill()
            return
        if "readinessProbe" not in spec:
            _say(watched, is_ready=True)
        followed = {"readinessProbe": _follow, "livenessProbe": _guard}
        await asyncio.gather(*(follow(watched) for name, follow in followed.items() if name in spec))
    except Wrong as error:
        watched.standing.fault = str(error)


async def _started(watched: Watched) -> bool:
    """Whether it has started before its probe lost patience."""
    probe = watched.spec["startupProbe"]
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    for _ in range(probe.get("failureThreshold", 3)):
        if await _is_well(watched, "startupProbe"):
            return True
        await asyncio.sleep(probe.get("periodSeconds", 10))
    return False


async def _follow(watched: Watched) -> None:
    """Say when it becomes ready, and when it is so no longer."""
    probe = watched.spec["readinessProbe"]
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        await _until(watched, "readinessProbe", is_well=True, least=probe.get("successThreshold", 1))
        _say(watched, is_ready=True)
        await _until(watched, "readinessProbe", is_well=False, least=probe.get("failureThreshold", 3))
        _say(watched, is_ready=False)


async def _guard(watched: Watched) -> None:
    """Kill it when it is alive no longer."""
    probe = watched.spec["livenessProbe"]
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    await _until(watched, "livenessProbe", is_well=False, least=probe.get("failureThreshold", 3))
    watched.running.kill()


async def _until(watched: Watched, name: str, *, is_well: bool, least: int) -> None:
    """Return once a probe has been answered so, as often in a row."""
    in_a_row = 0
    while True:
        in_a_row = in_a_row + 1 if await _is_well(watched, name) is is_well else 0
        if in_a_row >= least:
            return
        await asyncio.sleep(watched.spec[name].get("periodSeconds", 10))


async def _is_well(watched: Watched, name: str) -> bool:
    answer = await asked(watched.spec[name], watched.running, watched.address)
    watched.standing.said[name] = answer.said
    return answer.is_well


def _say(watched: Watched, *, is_ready: bool) -> None:
    watched.standing.is_ready = is_ready
    watched.changed()
