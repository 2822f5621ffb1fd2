"""`hearth bench retrieval`: the indexes of items, beside what others would take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def retrieval(
    sizes: Annotated[str, typer.Option(help="Items, separated by commas.")] = "10000,100000,1000000",
    dim: Annotated[int, typer.Option(min=1, help="Numbers in a vector.")] = 64,
    queries: Annotated[int, typer.Option(min=8, help="Timed of each kind.")] = 200,
    only: Annotated[str, typer.Option(help="Searches to compare with exact, separated by commas. Default: all.")] = "",
    split: Annotated[
        Path | None, typer.Option(help="Item vectors trained on it, in the place of --sizes that are made up.")
    ] = None,
    redis: Annotated[bool, typer.Option(help="Start a Redis and compare its vector sets.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Search items for the best ten: recall, time and bytes of each index, beside numpy, FAISS, TFRS and Redis.

    One query at a time, in one thread, with all items eligible, half of them, 1 % and 0.1 %.

    Example: `hearth bench retrieval --sizes 10000,100000 --json`
    """
    from hearth.sources import read_source

    source = None if split is None else read_source(split, None)
    try:
        numbers = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        raise typer.BadParameter(f"{sizes!r} are not numbers of items, separated by commas") from None
    if min(numbers) < 1:
        raise typer.BadParameter(f"there must be items to search; got {min(numbers)}")

    from benchmarks.retrieval import Load, measure_retrieval
    from benchmarks.retrieval_searches import tensorflow_in_one_thread

    names = tuple(name.strip() for name in only.split(",") if name.strip())
    tensorflow_in_one_thread()
    with told_steps(ERR) as report:
        figures = measure_retrieval(
            Load(numbers, dim, queries, names, redis), None if source is None else source.split, report
        )
    if as_json:
        print_json(figures)
        return
    show_retrieval(figures)


def show_retrieval(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.retrieval.measure_retrieval` as tables."""
    columns = ("search", "eligible", "recall@10", "p50 ms", "p99 ms", "CPU ms", "faster", "build s", "MB")
    for items in dict.fromkeys(row["items"] for row in figures["rows"]):
        rows = (
            (
                row["search"],
                row["eligible"],
                f"{row['recall_at_10']:.4f}",
                f"{row['p50_ms']:.3f}",
                f"{row['p99_ms']:.3f}",
                f"{row['cpu_ms']:.3f}",
                f"{row['faster_than_exact']:.1f}",
                f"{row['build']['cpu_seconds']:.1f}",
                f"{row['bytes'] / 1e6:.1f}",
            )
            for row in figures["rows"]
            if row["items"] == items
        )
        OUT.print(table(f"{items:,} items, {figures['data']}, one thread", columns, rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}")
    OUT.print(figures["command"])
