"""Up: the processes of a federation, started in the order in which they need each other, and kept running."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

from feature_store.durable import exclusive
from feature_store.errors import BadInput
from hearth.federation.child import ChildSpec, processes_of
from hearth.federation.control import opened_control
from hearth.federation.layout import Layout, Plan
from hearth.federation.ports import LOOPBACK, free_ports, reach_loopback_directly
from hearth.federation.processes import (
    environment,
    make_files,
    superlink,
    superlink_superexec,
    supernode,
    supernode_superexec,
    trainer,
)
from hearth.federation.supervisor import Supervisor
from training.federation.errors import FederationError

_LOG = logging.getLogger("hearth.federation")
START_SECONDS = 180.0  # Flower's programs take ten seconds each on a busy machine


def cell_names(count: int) -> tuple[str, ...]:
    """cell-1, cell-2, ..."""
    return tuple(f"cell-{number}" for number in range(1, count + 1))


def run_up(layout: Layout, plan: Plan, public_key: Path, stop: Event, told: Callable[[dict[str, Any]], None]) -> None:
    """Start everything, say so, and keep it running until `stop` is set; nothing is left then.

    Args:
        layout: where the files are.
        plan: what there is to start.
        public_key: whose checkpoints the cells adopt.
        stop: ends it.
        told: called once with the status, when all cells are online.

    Raises:
        BadInput: another process keeps this federation running.
        FederationError: something did not start, or ends again and again; the logs say why.
    """
    reach_loopback_directly()
    with supervised(layout):
        end_leftovers(layout.folder)
        make_files(layout, plan, public_key)
        port, *node_ports = free_ports(1 + len(plan.cells))
        address = f"{LOOPBACK}:{port}"
        about: dict[str, Any] = {"address": address, "cells": plan.cells, "folder": str(layout.folder)}
        about["secure_sums"] = not plan.plain_sums
        supervisor = Supervisor(layout.logs, environment(layout), layout.status, about)
        try:
            _start(layout, plan, supervisor, port, node_ports, stop)
            if not stop.is_set():
                supervisor.ready()
                told(read_status(layout))
            supervisor.watch(stop)
        finally:
            supervisor.end()
            end_leftovers(layout.folder)


def _start(
    layout: Layout, plan: Plan, supervisor: Supervisor, port: int, node_ports: Sequence[int], stop: Event
) -> None:
    """Start everything, and return when all cells are online, or `stop` is set."""
    until = time.monotonic() + START_SECONDS
    cells = [layout.cell(name) for name in plan.cells]
    link, trainers = superlink(layout, port), [trainer(cell) for cell in cells]
    for spec in (link, *trainers):
        supervisor.start(spec)
    _require_ready(supervisor, [link], until, stop)
    if stop.is_set():
        return
    with opened_control(f"{LOOPBACK}:{port}", layout.authority) as control:
        for cell in cells:
            control.register(cell.public_key.read_bytes(), cell.name)
        nodes = [supernode(layout, cell, port, own) for cell, own in zip(cells, node_ports, strict=True)]
        for spec in (superlink_superexec(layout, port), *nodes):
            supervisor.start(spec)
        _require_ready(supervisor, [*nodes, *trainers], until, stop)
        for cell, own in zip(cells, node_ports, strict=True):
            supervisor.start(supernode_superexec(layout, cell, own))
        are_online = supervisor.wait_until(lambda: len(control.online()) >= len(cells), until - time.monotonic(), stop)
        if not are_online and not stop.is_set():
            missing = sorted(set(plan.cells) - set(control.online()))
            raise FederationError(
                f"not online within {START_SECONDS:g} seconds: {', '.join(missing)}; {layout.logs} says more"
            )


def read_status(layout: Layout) -> dict[str, Any]:
    """What runs; raises `BadInput` where nothing does, or where the file does not say it."""
    try:
        status = json.loads(layout.status.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"no federation of {layout.folder} runs; `hearth federation up` starts it") from None
    except ValueError:  # no JSON, or no text
        status = None
    due = (("address", str), ("pid", int), ("processes", dict))
    if isinstance(status, dict) and all(isinstance(status.get(name), kind) for name, kind in due):
        return status
    raise BadInput(
        f"{layout.status} is not the status of a federation; `hearth federation down` ends what runs, and `up` writes "
        f"it anew"
    )


def take_down(layout: Layout, seconds: float = 30.0) -> int:
    """End the supervisor and all that is left of its processes; how many processes there were.

    Raises:
        BadInput: there is no federation in that folder.
    """
    layout.plan()
    before = processes_of(layout.folder)
    if is_held(layout):
        supervisor = _supervisor(layout)
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGTERM)
            until = time.monotonic() + seconds
            while is_held(layout) and time.monotonic() < until:
                time.sleep(0.1)
            if is_held(layout):
                os.kill(supervisor, signal.SIGKILL)
    end_leftovers(layout.folder)
    layout.status.unlink(missing_ok=True)
    return len(before)


def _supervisor(layout: Layout) -> int:
    """The process that holds the lock, as it has written there; one of an earlier version is in the status."""
    text = layout.lock.read_text()
    return int(text) if text.isdecimal() else int(read_status(layout)["pid"])


def is_held(layout: Layout) -> bool:
    """Whether a supervisor runs."""
    try:
        with alone(layout):
            return False
    except BadInput:
        return True


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Be the only supervisor; raises `BadInput` where there is one."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(layout.lock, wait=False))
        except BlockingIOError as error:
            raise BadInput(
                f"the federation of {layout.folder} runs already; `hearth federation down` ends it"
            ) from error
        yield


@contextmanager
def supervised(layout: Layout) -> Iterator[None]:
    """Be the only supervisor, and say in the lock which process that is; raises `BadInput` where there is one."""
    with alone(layout):
        layout.lock.write_text(str(os.getpid()))
        yield


def end_leftovers(folder: Path) -> None:
    """End what carries the federation's mark and has no supervisor any more."""
    for pid in processes_of(folder):
        _LOG.warning("process %d was left over", pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _require_ready(supervisor: Supervisor, specs: Sequence[ChildSpec], until: float, stop: Event) -> None:
    missing = supervisor.wait_until_ready([spec.name for spec in specs], until - time.monotonic(), stop)
    if missing and not stop.is_set():
        raise FederationError(f"not up within {START_SECONDS:g} seconds: {', '.join(missing)}; their logs say more")
