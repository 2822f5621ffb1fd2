"""`hearth bench swap`: what swaps, trials and roll-backs cost the requests beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table

if TYPE_CHECKING:
    from benchmarks.swap_operator import Report


def swap(
    items: Annotated[int, typer.Option(min=100, help="Items of each checkpoint.")] = 20_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    pairs: Annotated[int, typer.Option(min=0, help="Items that have item-item weights.")] = 1000,
    people: Annotated[int, typer.Option(min=10, help="People with a history.")] = 5000,
    events: Annotated[int, typer.Option(min=1, help="Events of each person.")] = 20,
    store: Annotated[Literal["sqlite", "memory"], typer.Option(help="Where people are kept.")] = "sqlite",
    catalogue: Annotated[bool, typer.Option(help="Whether a catalogue says what can be shown.")] = True,
    rate: Annotated[
        float | None, typer.Option(min=1.0, help="Requests a second. Default: a share of what the server can answer.")
    ] = None,
    share: Annotated[float, typer.Option(min=0.01, max=1.0, help="That share.")] = 0.4,
    seconds: Annotated[float, typer.Option(min=1.0, help="Of each phase, at least.")] = 8.0,
    turns: Annotated[int, typer.Option(min=1, help="How often each phase comes.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Swap, try and roll back checkpoints on a real server under a steady load, and compare with quiet phases.

    Requests go out when they are due, whatever became of those before, and their time counts from then.

    Example: `hearth bench swap --turns 5 --json`
    """
    from benchmarks.swap import SwapLoad, measure_swap
    from benchmarks.swap_world import Size

    size = Size(items, dim, min(pairs, items), people, events, catalogue, store)
    with _told() as report:
        figures = measure_swap(size, SwapLoad(rate=rate, share=share, seconds=seconds, turns=turns), report)
    if as_json:
        print_json(figures)
        return
    show_swap(figures)


def show_swap(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.swap.measure_swap` as tables."""
    for name, server in figures["servers"].items():
        rows = (
            (
                kind,
                f"{of['requests']:,}",
                str(of["failed"]),
                f"{of['p50_milliseconds']:.1f}",
                f"{of['p95_milliseconds']:.1f}",
                f"{of['p99_milliseconds']:.1f}",
                f"{of['around_p99_milliseconds']:.1f}",
                f"{of['ratio']:.2f}",
                f"{of['around_ratio']:.2f}",
                f"{min(of['ratios']):.2f} to {max(of['ratios']):.2f}",
                f"{of['megabytes_before']:,.0f} to {of['megabytes_highest']:,.0f}",
            )
            for kind, of in server["kinds"].items()
        )
        columns = ("phase", "requests", "failed", "p50 ms", "p95", "p99", "around", "ratio", "around", "each", "MB")
        OUT.print(table(f"{_TITLES[name]}, {server['rate']:.0f} requests a second", columns, rows))
    targets = figures["targets"]
    OUT.print(
        f"ratio: p99 by that of all quiet phases; the worst is {targets['worst_p99_ratio']:.2f}, and should be below "
        f"{targets['p99_ratio']}; each: of every phase alone, which among quiet ones is noise; "
        "around: from a second before a change had its effect to a second after"
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")


_TITLES = {"shadow": "Nobody is shown the model on trial", "canary": "A share of people is shown the model on trial"}


@contextmanager
def _told() -> "Iterator[Report]":
    """A bar on a terminal; elsewhere a line for each phase."""
    if not ERR.is_interactive:
        yield lambda doing, done, of: ERR.print(f"{done}/{of} {doing}", highlight=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task("")
        yield lambda doing, done, of: progress.update(task, description=doing, completed=done, total=of)
