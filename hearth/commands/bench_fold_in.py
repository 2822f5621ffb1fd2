"""`hearth bench fold-in`: how long one person and everybody takes."""

from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, told_steps


def fold_in(
    people: Annotated[int, typer.Option(min=1, help="In the array of everybody.")] = 100_000,
    items: Annotated[int, typer.Option(min=1, help="Of the catalogue.")] = 10_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    events: Annotated[int, typer.Option(min=1, help="Of each person.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Fold in one person, everybody at once, and everybody in each kind of store, beside the machine's matrix rate.

    Example: `hearth bench fold-in --people 10000 --json`
    """
    from benchmarks.fold_in import measure_fold_in
    from feature_store.errors import BadInput

    if events > items:
        raise BadInput(f"--events are of distinct items: at most --items {items}; got {events}")
    with told_steps(ERR) as report:
        figures = measure_fold_in(people, items, dim, events, report)
    if as_json:
        print_json(figures)
        return
    show_fold_in(figures)


def show_fold_in(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.fold_in.measure_fold_in` as text."""
    one, many, floor = (figures[name] for name in ("one", "many", "floor"))
    OUT.print(
        f"One person with {figures['data']['events']} items at dim {figures['data']['dim']}: "
        f"{one['microseconds_median']:.0f} µs (median; least {one['microseconds_least']:.0f}, "
        f"p99 {one['microseconds_p99']:.0f}).\n"
        f"Everybody at once: {many['people_per_second']:,.0f} people/s; a direct solution at the machine's "
        f"{floor['matrix_operations_per_second'] / 1e9:.0f} G operations/s would take "
        f"{floor['seconds']:.2f} s for all, and this took {many['seconds']:.2f}."
    )
    for place, sweep in figures["sweeps"].items():
        OUT.print(f"A sweep over {sweep['people']:,} people in {place}: {sweep['people_per_second']:,.0f} people/s.")
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
