"""`hearth bench federation`: what a round over real cells costs, under masks and in the clear."""

from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def federation(
    cells: Annotated[int, typer.Option(min=3, max=64, help="How many cells.")] = 3,
    items: Annotated[int, typer.Option(min=40, help="Item vectors.")] = 3628,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    people: Annotated[int, typer.Option(min=120, help="People, of all cells.")] = 900,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to measure, beside a first one.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Start cells on this machine, and train over them: first under masks, then in the clear. Takes minutes.

    Example: `hearth bench federation --cells 3 --json`
    """
    from benchmarks.machine import provenance
    from hearth.federation.measuring import Load, measure_federation

    with told_steps(ERR) as report:
        figures = measure_federation(Load(cells, items, dim, people, rounds), report) | provenance()
    if as_json:
        print_json(figures)
        return
    show_federation(figures)


def show_federation(figures: dict[str, Any]) -> None:
    """The figures of `hearth.federation.measuring.measure_federation` as a table."""
    rows = (
        (
            name,
            f"{figures[name]['seconds']:.1f}",
            f"{figures[name]['seconds_of_first_round']:.1f}",
            f"{figures[name]['uplink_bytes']:,.0f}",
            f"{figures[name]['downlink_bytes']:,.0f}",
        )
        for name in ("masked", "plain")
    )
    load = figures["load"]
    columns = ("sums", "s a round", "s the first", "bytes up", "bytes down")
    OUT.print(table(f"{load['cells']} cells, vectors {load['items']:,} × {load['dim']}", columns, rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
