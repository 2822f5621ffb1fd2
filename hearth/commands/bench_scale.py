"""`hearth bench scale`: rounds over populations on disk, up to a million people."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def scale(
    people: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Size of a population; give it at least twice. Default: 10000, 100000 and 1000000."),
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Items of the catalogue.")] = 200_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the people, who take part in a round.")] = 1.0,
    plot: Annotated[Path | None, typer.Option(help="Draw seconds and memory by population into this SVG file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Seconds and memory of a round over synthetic populations that are read from disk as they are needed.

    The largest population of the default takes 0.4 GB in the folder for temporary files, removed at the end.

    Example: `hearth bench scale --plot scale.svg --json`
    """
    from benchmarks.scale import measure_scale

    with told_steps(ERR) as report:
        figures = measure_scale(people or [10_000, 100_000, 1_000_000], items, dim, share, report)
    if plot:
        from benchmarks.scale_plot import draw_scale

        draw_scale(figures, plot)
    if as_json:
        print_json(figures)
        return
    show_scale(figures)


def show_scale(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.scale.measure_scale` as a table."""
    rows = (
        (
            f"{population['people']:,}",
            f"{population['cohort']:,}",
            f"{population['interactions']:,}",
            f"{population['client_seconds']:.1f}",
            f"{population['client_cpu_seconds']:.1f}",
            f"{population['server_seconds']:.1f}",
            f"{population['clients_per_second']:,.0f}",
            f"{population['peak_memory_mb']:,.0f}",
        )
        for population in figures["populations"]
    )
    data = figures["data"]
    columns = ("people", "in a round", "interactions", "clients s", "of all cores", "server s", "clients/s", "peak MB")
    OUT.print(table(f"A round over {data['items']:,} items at dim {data['dim']}", columns, rows))
    growth = figures["growth"]
    OUT.print(
        f"seconds of the clients grow with their number to the power of {growth['exponent']:.2f}, "
        f"of all cores {growth['cpu_exponent']:.2f}"
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
