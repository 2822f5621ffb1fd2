"""Serving under load: how many requests a second a real server answers in time, beside a floor and a tutorial's server.

Three kinds of server take the same load one after the other, each in a process of its own, over loopback: Hearth's with
a shop's rules, caps and diversity, once for each filter; the same HTTP with a constant reply, which is the floor; and
FastAPI around TFRS's BruteForce, as tutorials build it, which uses all cores. So Hearth's can be measured by several
workers as well.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, build_opener

import numpy as np

from benchmarks.machine import provenance
from benchmarks.process_memory import tree_megabytes
from benchmarks.served import Served, ServerFailed, served
from benchmarks.serving_load import Asked, Load, loading
from benchmarks.serving_load_peers import cpu_seconds, peer
from benchmarks.serving_load_soak import soak
from benchmarks.serving_load_steps import Step, best, fastest, step_of
from benchmarks.serving_load_world import PATH, Shop, Size
from feature_store.errors import BadInput

BOUNDS = (10.0, 50.0)
"""Milliseconds of the p99 that a rate is looked for at."""

SHARE_OF_CONSTANT, TIMES_TUTORIAL = 0.6, 5.0
"""What Hearth's requests a second are to be, by those of the constant reply and of the tutorial's server."""

_GENTLE = 0.2  # of what a server answers at most: a load under which few wait for others
_LEAST_REQUESTS, _LONGEST = 300, 4  # of a step, so that there is a p99; and how often its time it may last for them
_DIRECTLY = build_opener(ProxyHandler({}))
_PROBED = re.compile(r"^hearth_index_recall_(sum|count)\{[^}]*\} (\S+)$", re.MULTILINE)


class Plan(NamedTuple):
    """How it is measured.

    selectivities: shares of the catalogue that requests' filters let through; 1 is without a filter. The largest comes
        first.
    k: items of a list.
    connections: of the load, kept open.
    seconds: of each step.
    soak: seconds that a load goes on at the end; 0 for none.
    share: of the requests a second that met the last bound: the load of the soak.
    peers: whether the two others are measured as well.
    workers: above 1, a server of so many processes is measured too, with the first filter.
    """

    selectivities: Sequence[float] = (1.0, 0.5, 0.01)
    k: int = 10
    connections: int = 64
    seconds: float = 5.0
    soak: float = 0.0
    share: float = 0.7
    peers: bool = True
    workers: int = 1


def measure_serving(size: Size, plan: Plan, report: Callable[[str], None]) -> dict[str, Any]:
    """Rows of requests a second, latency, recall and processor time as one JSON object.

    Raises:
        BadInput: a plan that measures nothing.
        ServerFailed: a server did not do what it was asked to.
    """
    if not plan.selectivities or not all(0 < one <= 1 for one in plan.selectivities) or not 0 < plan.share <= 1:
        raise BadInput(
            "serving is measured with filters that let through more than 0 and up to 1, under a share of the load "
            f"likewise; got selectivities={list(plan.selectivities)}, share={plan.share}"
        )
    if plan.workers > 1 and size.store == "memory":
        raise BadInput("several workers cannot share what is kept in memory; keep people in sqlite")
    plan = plan._replace(selectivities=sorted(plan.selectivities, reverse=True))
    soaked = None
    with tempfile.TemporaryDirectory(prefix="hearth-serving-") as name:
        folder = Path(name)
        report(f"a shop of {size.items:,} items")
        shop = Shop(folder, size)
        with served(shop.config(), folder) as server:
            report("people")
            server.logged(0, "model swapped", model_id=shop.model_id)
            shop.tell_histories(server.post)
            report("the index")
            (index,) = server.said(0, "indexed", model_id=shop.model_id)["indexes"]
            reply = _reply(server, shop, plan.k)
            rows = [_of_hearth(server, shop, plan, selectivity, report) for selectivity in plan.selectivities]
            if plan.soak:
                soaked = _soaked(server, shop, plan, rows[0], report)
            server.stop()
        if plan.workers > 1:
            rows.append(_of_workers(shop, plan, report))
        if plan.peers:
            rows += _of_peers(shop, plan, reply, report)
    return {
        "benchmark": "serving",
        **provenance(),
        "size": size._asdict(),
        "plan": plan._asdict(),
        "index": index,
        "reply_bytes": len(reply),
        "rows": rows,
        "soak": soaked,
        "targets": _targets(rows) if plan.peers else None,
    }


def _of_workers(shop: Shop, plan: Plan, report: Callable[[str], None]) -> dict[str, Any]:
    """The people whom the first server was told of are in the file that they share."""
    report(f"{plan.workers} workers")
    with served(shop.config(plan.workers), shop.folder) as server:
        for worker in range(plan.workers):
            server.logged(0, "indexed", model_id=shop.model_id, worker=worker)
        row = _of_hearth(server, shop, plan, plan.selectivities[0], report, plan.workers)
        server.stop()
    return row


def _of_hearth(
    server: Served, shop: Shop, plan: Plan, selectivity: float, report: Callable[[str], None], workers: int = 1
) -> dict[str, Any]:
    before = _probed(server)
    asked = Asked(shop.requests(selectivity, plan.k), plan.connections)
    name = "hearth" if workers == 1 else f"hearth, {workers} workers"
    row = _row(name, server.address, server.pid, asked, shop, plan, report, selectivity)
    total, count = (now - then for now, then in zip(_probed(server), before, strict=True))
    return {
        **row,
        "recall": total / count if count else None,
        "recall_probes": int(count),
        "megabytes": tree_megabytes(server.pid),
    }


def _of_peers(shop: Shop, plan: Plan, reply: bytes, report: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    folder, asked = shop.folder, Asked(shop.requests(1.0, plan.k), plan.connections)
    config, content, arrays = folder / "constant.json", folder / "reply.json", folder / "arrays.npz"
    config.write_text(shop.config().model_dump_json())
    content.write_bytes(reply)
    with peer("benchmarks.serving_load_constant", [str(config), str(content)], folder) as running:
        yield _row("constant", running.address, running.pid, asked, shop, plan, report)
    people = np.random.default_rng(0).normal(0.0, 0.2, (shop.size.people, shop.size.dim)).astype(np.float32)
    np.savez(arrays, item_ids=np.array(shop.item_ids), vectors=shop.vectors, people=people)
    with peer("benchmarks.serving_load_tutorial", [str(arrays)], folder) as running:
        requests = [("/recommend", body) for _, body in asked.requests]
        yield _row("tutorial", running.address, running.pid, asked._replace(requests=requests), shop, plan, report)


def _row(
    name: str,
    address: str,
    pid: int,
    asked: Asked,
    shop: Shop,
    plan: Plan,
    report: Callable[[str], None],
    selectivity: float | None = None,
) -> dict[str, Any]:
    """The steps of one server, and the best of them for each bound; selectivity: None where there are no filters."""
    named = name if selectivity is None else f"{name}, filters of {selectivity:g}"
    with loading(address, asked, shop.folder) as load:
        report(f"{named}: how much it can answer")
        load.run(None, plan.seconds / 2)  # what is done for the first time is none of a load's business
        busy = _measured(load, pid, plan.seconds, None)
        if busy.requests < _LEAST_REQUESTS:
            busy = _measured(load, pid, _LONGEST * plan.seconds, None)
        if busy.failed == busy.requests:
            raise ServerFailed(f"{name} answered {busy.requests} requests, and none as it should have")
        capacity = busy.rps

        def measure(rate: float) -> Step:
            report(f"{named}: {rate:,.0f} requests a second")
            return _measured(load, pid, min(max(plan.seconds, _LEAST_REQUESTS / rate), _LONGEST * plan.seconds), rate)

        steps = [gentle := measure(_GENTLE * capacity)]
        for bound in BOUNDS:
            steps = fastest(measure, bound, capacity / 2, steps)
    return {
        "server": name,
        "selectivity": selectivity,
        "items": shop.size.items,
        "dim": shop.size.dim,
        "k": plan.k,
        "connections": plan.connections,
        "busy": busy._asdict(),
        "gentle": gentle._asdict(),
        "at": {f"{bound:g}": None if (one := best(steps, bound)) is None else one._asdict() for bound in BOUNDS},
        "steps": [step._asdict() for step in steps],
    }


def _measured(load: Load, pid: int, seconds: float, rate: float | None) -> Step:
    before = cpu_seconds(pid)
    answers = load.run(rate, seconds)
    return step_of(rate or 0.0, answers, cpu_seconds(pid) - before)


def _soaked(
    server: Served, shop: Shop, plan: Plan, row: dict[str, Any], report: Callable[[str], None]
) -> dict[str, Any] | None:
    reached = row["at"][f"{BOUNDS[-1]:g}"]
    if reached is None:
        return None
    rate = plan.share * float(reached["rps"])
    report(f"{plan.soak:g} seconds of {rate:,.0f} requests a second")
    asked = Asked(shop.requests(plan.selectivities[0], plan.k), plan.connections)
    with loading(server.address, asked, shop.folder) as load:
        return soak(server, load, rate, plan.soak)


def _reply(server: Served, shop: Shop, k: int) -> bytes:
    """One reply of the server, so that the constant one is as long; raises `ServerFailed` where it is no list of k."""
    reply = server.post(PATH, {"user_id": "person-0", "k": k})
    if len(reply["items"]) != min(k, shop.size.items) or reply["meta"]["degraded"]:
        raise ServerFailed(f"the first list has {len(reply['items'])} items of {k}, and lacks {reply['meta']}")
    return json.dumps(reply, separators=(",", ":")).encode()


def _probed(server: Served) -> tuple[float, float]:
    """Sum and number of the recalls that the server has probed so far, over all replies."""
    with _DIRECTLY.open(f"{server.address}/metrics") as reply:
        found = _PROBED.findall(reply.read().decode())
    total, count = (sum(float(value) for name, value in found if name == wanted) for wanted in ("sum", "count"))
    return total, count


def _targets(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Hearth without a filter, or with the widest one, by the two others; None for what cannot be said.

    by_tutorial_of_workers: of the server of several processes; None where there is none.
    """
    hearth, constant, tutorial = rows[0], rows[-2], rows[-1]
    workers = next((row for row in rows if row["server"].endswith("workers")), None)

    def ratio(ours: dict[str, Any], theirs: dict[str, Any], bound: str) -> float | None:
        one, other = ours["at"][bound], theirs["at"][bound]
        return None if one is None or other is None else one["rps"] / other["rps"]

    def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float | None]:
        return {bound: ratio(ours, theirs, bound) for bound in ours["at"]}

    def cpu_ratio(of: dict[str, Any]) -> float | None:
        ours, theirs = (float(one["busy"]["cpu_milliseconds"]) for one in (hearth, of))
        return theirs / ours if ours else None

    return {
        "share_of_constant": SHARE_OF_CONSTANT,
        "times_tutorial": TIMES_TUTORIAL,
        "of_constant": ratios(hearth, constant),
        "by_tutorial": ratios(hearth, tutorial),
        "by_tutorial_of_workers": None if workers is None else ratios(workers, tutorial),
        "cpu_of_constant": cpu_ratio(constant),
        "cpu_by_tutorial": cpu_ratio(tutorial),
    }
