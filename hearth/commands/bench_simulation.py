"""`hearth bench simulation`: clients a second, ours beside a plain loop and Flower's simulation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def simulation(
    split: Annotated[
        Path | None,
        typer.Option(help="A folder with train.txt[.gz], or interactions. Default: synthetic, of MovieLens-1M's size."),
    ] = None,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    cohort: Annotated[int, typer.Option(min=1, help="Clients of the round.")] = 600,
    flower: Annotated[bool, typer.Option(help="Run Flower's simulation too; it takes a minute or more.")] = True,
    tensorflow: Annotated[
        bool, typer.Option("--tensorflow", help="Run our TensorFlow program too: plain, with XLA, in mixed precision.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The same round computed at once, one client at a time in numpy, and by Flower's simulation with Ray.

    Example: `hearth bench simulation --split split_ml1m/ --json`
    """
    from hearth.sources import read_source

    given = read_source(split).split if split else None

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.simulation import measure_simulation
    from benchmarks.synthetic import synthetic_split

    with told_steps(ERR) as report:
        figures = measure_simulation(
            given or synthetic_split(), dim, cohort, report, flower=flower, tensorflow=tensorflow
        )
    figures["data"]["source"] = str(split) if split else "synthetic"
    if as_json:
        print_json(figures)
        return
    show_simulation(figures)


def show_simulation(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.simulation.measure_simulation` as a table."""
    rows = (
        (
            name,
            f"{side['clients_per_second']:,.0f}",
            f"{figures['ratios'][name]:.1f}" if name in figures["ratios"] else "",
            f"{side['peak_memory_mb']:,.0f}" if "peak_memory_mb" in side else "-",
        )
        for name, side in figures["sides"].items()
    )
    data, floor = figures["data"], figures["floor"]
    title = f"A round of {data['clients']} clients, {data['items']:,} items, dim {data['dim']}"
    OUT.print(table(title, ("", "clients/s", "ours is faster by", "peak MB"), rows))
    OUT.print(
        f"{floor['operations_per_client'] / 1e6:.2f} million operations a client, solved directly; matrices are "
        f"multiplied at {floor['matrix_operations_per_second'] / 1e9:.0f} billion a second; share reached: "
        f"{floor['share_reached']:.0%}"
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
