"""Secure aggregation: what a round costs a client and the server, beside adding the same arrays up in the clear."""

import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.machine import provenance
from feature_store.arrays import Float32Array
from training.secure_aggregation.client_round import ClientRound
from training.secure_aggregation.fixed_point import Field, Layout, step
from training.secure_aggregation.masks import add_masks, word_type
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.terms import Terms, threshold_against_server
from training.secure_aggregation.uncovering import SecureSum

STAGES = ("keys", "shares", "masked input", "agreement", "unmasking")
_DROPPED_AT = 2  # who has shared keys and sends no input costs the server most
_SEED = 1


class Load(NamedTuple):
    """How much is added up.

    items, dim: a client sends items × dim numbers and two more an item.
    cohorts: of how many clients each.
    dropouts: share of a cohort that shares keys and then sends no input.
    word_bits: of the integers that are added.
    turns: rounds of each kind.
    """

    items: int = 3628
    dim: int = 64
    cohorts: tuple[int, ...] = (3, 10, 50, 100)
    dropouts: tuple[float, ...] = (0.0, 0.1)
    word_bits: int = 32
    turns: int = 3

    @property
    def layout(self) -> Layout:
        """What a client sends."""
        fields = (
            Field("item_gradient", (self.items, self.dim), 1.0),
            Field("item_energy", (self.items,), 1.0),
            Field("item_counts", (self.items,), 100.0),
        )
        return Layout(fields, self.word_bits)


class _Round(NamedTuple):
    """Seconds and bytes of one round.

    client: by stage, of each client that stayed; server: by stage. Each as (on the clock, of this process's work).
    """

    client: list[list[tuple[float, float]]]
    server: list[tuple[float, float]]
    uplink: list[int]
    downlink: list[int]
    result: SecureSum


def measure_secure_aggregation(load: Load, report: Callable[[str], None], *, flower: bool) -> dict[str, Any]:
    """Seconds and bytes of rounds as one JSON object.

    Args:
        load: how much is added up.
        report: is told what is being done.
        flower: whether to make the mask of a pair as Flower's SecAgg+ does, too.
    """
    layout, random = load.layout, np.random.default_rng(_SEED)
    values = {
        "item_gradient": random.uniform(-1, 1, (load.items, load.dim)).astype(np.float32),
        "item_energy": random.uniform(0, 1, load.items).astype(np.float32),
        "item_counts": random.integers(0, 101, load.items).astype(np.float32),
    }
    rounds = []
    for clients in load.cohorts:
        for dropped in dict.fromkeys(round(share * clients) for share in load.dropouts):
            report(f"{clients} clients, of whom {dropped} drop out")
            rounds.append(_measured(layout, clients, dropped, values, load.turns))
    report("one mask")
    return {
        "benchmark": "secure-aggregation",
        **provenance(),
        "load": {**load._asdict(), "numbers": layout.numbers},
        "timing": f"median over clients and {load.turns} rounds; cpu_seconds is without what others ran",
        "rounds": rounds,
        "mask": _one_mask(layout, flower=flower),
    }


def _measured(layout: Layout, clients: int, dropped: int, values: Mapping[str, Float32Array], turns: int) -> Any:
    names = tuple(f"cell-{number:04}" for number in range(clients))
    terms = Terms("benchmark", names, threshold_against_server(clients), layout)
    runs = [_round(terms, dropped, values) for _ in range(turns)]
    stayed = [seconds for run in runs for seconds in run.client]
    survivors = clients - dropped
    started = time.perf_counter()
    plain = {name: np.zeros_like(array) for name, array in values.items()}
    for _ in range(survivors):
        for name, array in values.items():
            plain[name] += array
    in_the_clear = time.perf_counter() - started
    sums = runs[0].result.sums
    errors = {
        field.name: float(np.abs(sums[field.name] - survivors * values[field.name].astype(np.float64)).max())
        for field in layout.fields
    }
    uplink = statistics.median(runs[0].uplink)
    return {
        "clients": clients,
        "dropped": dropped,
        "threshold": terms.threshold,
        "client": {
            **_seconds_of(stayed),
            "uplink_bytes": uplink,
            "downlink_bytes": statistics.median(runs[0].downlink),
            "uplink_of_plain": uplink / (4 * layout.numbers),
        },
        "server": _seconds_of([run.server for run in runs]),
        "plain": {"server_seconds": in_the_clear, "uplink_bytes": 4 * layout.numbers},
        "error": {
            field.name: {
                "largest": errors[field.name],
                "bound": survivors * step(field, layout.word_bits, clients) / 2,
            }
            for field in layout.fields
        },
    }


def _seconds_of(measured: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    """Medians over clients or rounds, each of which has two times a stage."""
    by_stage = [statistics.median(wall for wall, _ in each) for each in zip(*measured, strict=True)]
    return {
        "seconds": statistics.median(sum(wall for wall, _ in each) for each in measured),
        "cpu_seconds": statistics.median(sum(cpu for _, cpu in each) for each in measured),
        "seconds_by_stage": dict(zip(STAGES, by_stage, strict=True)),
    }


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float], *, added_to: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    wall, cpu = _clocks()
    return added_to[0] + wall - start[0], added_to[1] + cpu - start[1]


def _round(terms: Terms, dropped: int, values: Mapping[str, Float32Array]) -> _Round:
    keys = {name: Ed25519PrivateKey.generate() for name in terms.cohort}
    pinned = {name: key.public_key() for name, key in keys.items()}
    clients = {name: ClientRound(name, key, pinned, lambda _: values, lambda _: None) for name, key in keys.items()}
    gone = set(terms.cohort[:: max(1, len(terms.cohort) // dropped)][:dropped]) if dropped else set()
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in terms.cohort if name not in gone}
    sent, received = dict.fromkeys(terms.cohort, 0), dict.fromkeys(terms.cohort, 0)
    server = [(0.0, 0.0)] * len(STAGES)
    state: ServerState | SecureSum
    state, requests = begin(terms, pinned)
    for stage in range(len(STAGES)):
        for name, request in requests.items():
            if stage >= _DROPPED_AT and name in gone:
                continue
            start = _clocks()
            reply = clients[name].answer(request)
            answered = _since(start)
            start = _clocks()
            state = accept(_going_on(state), name, reply)
            server[stage] = _since(start, added_to=server[stage])
            sent[name] += len(reply)
            received[name] += len(request)
            if name in took:
                took[name].append(answered)
        start = _clocks()
        state, requests = close(_going_on(state))
        server[stage] = _since(start, added_to=server[stage])
    if not isinstance(state, SecureSum):
        raise TypeError(f"a round has {len(STAGES)} stages and ends in a sum; it is at {type(state).__name__}")
    return _Round(list(took.values()), server, [sent[name] for name in took], [received[name] for name in took], state)


def _going_on(state: ServerState | SecureSum) -> ServerState:
    if isinstance(state, SecureSum):
        raise TypeError(f"a round has {len(STAGES)} stages; it ended before")
    return state


def _one_mask(layout: Layout, *, flower: bool) -> dict[str, float]:
    total = np.zeros(layout.numbers, word_type(layout.word_bits))
    masks = 20
    ours = _fastest(lambda: add_masks(total, [(bytes(32), 1)] * masks)) / masks
    figures = {"numbers": layout.numbers, "seconds": ours, "bytes_per_second": total.nbytes / ours}
    if flower:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Flower's own, about itself and about Python
            from flwr.common.secure_aggregation.secaggplus_utils import (  # noqa: PLC0415 - takes seconds to load
                pseudo_rand_gen,
            )

        theirs = _fastest(lambda: pseudo_rand_gen(bytes(32), 1 << 32, [(layout.numbers,)]))
        figures |= {"flower_seconds": theirs, "faster_by": theirs / ours}
    return figures


def _fastest(work: Callable[[], Any], times: int = 5) -> float:
    def once() -> float:
        start = _clocks()
        work()
        return _since(start)[0]

    return min(once() for _ in range(times))
