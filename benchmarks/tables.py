"""Tables of recommenders x data sets, filled cell by cell, so that a run that was stopped goes on where it was."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.machine import provenance
from benchmarks.table_data import DataSet, Task
from benchmarks.table_rows import Row, rows
from feature_store.durable import replace
from feature_store.errors import BadInput
from training.cohort import population
from training.settings import TrainingSettings
from training.split import digest

Cells = dict[str, dict[str, dict[str, Any]]]
"""Figures by data set and row."""

QUICK_ROUNDS = 5


def fill(
    data: Path,
    data_sets: Sequence[DataSet],
    cache: Path,
    report: Callable[[str], None],
    *,
    seeds: Sequence[int] = (1, 2, 3),
    dim: int = 64,
    rounds: int = 40,
    only: Sequence[str] = (),
    quick: bool = False,
) -> Cells:
    """Measure every cell that the cache does not have, and put it there at once.

    A cell is measured anew where what it follows from has changed: the data, settings, grid, seeds, or `quick`.

    Args:
        data: folder of the data sets.
        data_sets: which to take.
        cache: a JSON file; need not be there yet.
        report: is told what is being done.
        seeds: of each cell; the first one chooses on valid.
        dim: of the item vectors, ours and ALS'.
        rounds: of each federated run, with a tenth of the clients in each, at most 600.
        only: names of rows to take; none takes all.
        quick: the first setting of each grid, one seed and few rounds: to see that all rows run, and for nothing else.

    Returns:
        All cells of the cache, those of other data sets and rows included.

    Raises:
        BadInput: a data set cannot be read, or has no row of a name asked for.
    """
    cells = read_cells(cache)
    for data_set in data_sets:
        report(f"{data_set.name}: reading")
        task = data_set.read(data)
        cohort = max(1, min(600, len(population(task.final.train)) // 10))
        settings = TrainingSettings(dim=dim, rounds=QUICK_ROUNDS if quick else rounds, cohort=cohort, patience=0)
        there = rows(task.tuning, settings)
        unknown = set(only) - {row.name for row in there}
        if unknown:
            raise BadInput(
                f"{data_set.name} has no row {min(unknown)!r}; it has: {'; '.join(row.name for row in there)}"
            )
        of_data = f"{digest(task.tuning)} {digest(task.final)}"
        for row in there:
            if only and row.name not in only:
                continue
            mark = _fingerprint(of_data, row, seeds, quick=quick)
            if cells.get(data_set.name, {}).get(row.name, {}).get("fingerprint") == mark:
                report(f"{data_set.name}, {row.name}: known")
                continue
            cell = _measure(task, row, seeds[:1] if quick else seeds, report, quick=quick)
            cells.setdefault(data_set.name, {})[row.name] = {**cell, "fingerprint": mark, "quick": quick}
            cache.parent.mkdir(parents=True, exist_ok=True)
            replace(cache, json.dumps(cells, indent=1).encode())
    return cells


def read_cells(cache: Path) -> Cells:
    """The cells measured so far; none where there is no file.

    Raises:
        BadInput: the file is no JSON object.
    """
    if not cache.exists():
        return {}
    try:
        cells = json.loads(cache.read_bytes())
    except ValueError as error:
        raise BadInput(f"{cache} is not a cache of cells ({error}); remove it to measure anew") from error
    if not isinstance(cells, dict):
        raise BadInput(f"{cache} is not a cache of cells; remove it to measure anew")
    return cells


def _fingerprint(data: str, row: Row, seeds: Sequence[int], *, quick: bool) -> str:
    follows_from = [data, row.name, [dict(changes) for changes in row.grid], row.fingerprint, list(seeds), quick]
    return hashlib.sha256(json.dumps(follows_from, sort_keys=True).encode()).hexdigest()[:16]


def _measure(
    task: Task, row: Row, seeds: Sequence[int], report: Callable[[str], None], *, quick: bool
) -> dict[str, Any]:
    """Choose on valid with the first seed, then fit with each and judge on test."""
    started = time.perf_counter()
    grid = row.grid[:1] if quick else row.grid
    best, highest = grid[0], float("-inf")
    for number, changes in enumerate(grid if len(grid) > 1 else (), 1):
        metric = task.on_valid(row.fit(task.tuning, changes, seeds[0]).score)
        report(f"{row.name} on valid, {number} of {len(grid)}: {dict(changes)}: {metric:.4f}")
        if metric > highest:
            best, highest = changes, metric
    fitted, figures = [], []
    for seed in seeds:
        report(f"{row.name}, seed {seed}")
        fitted.append(row.fit(task.final, best, seed))
        figures.append(task.on_test(fitted[-1].score))
    return {
        "chosen": dict(best),
        "mean": {name: mean(f[name] for f in figures) for name in figures[0]},
        "spread": {name: stdev(f[name] for f in figures) if len(figures) > 1 else 0.0 for name in figures[0]},
        "rounds": fitted[0].rounds,
        "uplink_bytes": fitted[0].uplink_bytes,
        "seconds": time.perf_counter() - started,
        "date": provenance()["date"],
    }


def page(cells: Mapping[str, Mapping[str, Mapping[str, Any]]], data_sets: Sequence[DataSet]) -> str:
    """The tables as a page in Markdown; a cell that is not measured is a dash, one of a quick run is marked."""
    sets = [data_set for data_set in data_sets if data_set.name in cells]
    names = list(dict.fromkeys(name for data_set in sets for name in cells[data_set.name]))
    lines = [
        "# Results: recommenders x data sets",
        "",
        "Written by `hearth bench tables`; [protocols.md](protocols.md) says how each data set is split and judged.",
        "Test part, means over seeds; settings chosen on valid. Cells marked q are of a quick run and say nothing of",
        "quality.",
        "",
        "| | " + " | ".join(f"{data_set.name}, {data_set.figures[0]}" for data_set in sets) + " |",
        "|---|" + "---|" * len(sets),
        *(
            f"| {name} | "
            + " | ".join(_shown(cells[data_set.name].get(name), data_set.figures[0]) for data_set in sets)
            + " |"
            for name in names
        ),
    ]
    for data_set in sets:
        columns = [*data_set.figures, "rounds", "MB up a client", "chosen"]
        lines += ["", f"## {data_set.title}", "", "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for name, cell in cells[data_set.name].items():
            uplink = cell["uplink_bytes"]
            shown = [
                *(_shown(cell, figure) for figure in data_set.figures),
                str(cell["rounds"] or "-"),
                "-" if uplink is None else f"{uplink / 1e6:.1f}",
                _chosen(cell["chosen"]),
            ]
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _shown(cell: Mapping[str, Any] | None, figure: str) -> str:
    if cell is None:
        return "-"
    return f"{cell['mean'][figure]:.4f}" + (" q" if cell["quick"] else "")


def _chosen(changes: Mapping[str, Any]) -> str:
    flat: dict[str, Any] = {}
    for name, value in changes.items():
        flat |= value if isinstance(value, Mapping) else {name.rpartition(".")[2]: value}
    return ", ".join(f"{name} {value}" for name, value in flat.items()) or "-"
