"""`hearth bench secure-aggregation`: what a round costs each client and the server."""

from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def secure_aggregation(
    items: Annotated[int, typer.Option(min=1, help="Items; a client sends DIM + 2 numbers for each.")] = 3628,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    clients: Annotated[
        list[int] | None,
        typer.Option(min=3, max=1000, help="Clients of a round; may be given again. Default: 3, 10, 50 and 100."),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="Rounds of each kind.")] = 3,
    flower: Annotated[bool, typer.Option(help="Make one mask as Flower's SecAgg+ does, too.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Add up the arrays of cohorts without seeing any, with nobody and with a tenth dropping out.

    Example: `hearth bench secure-aggregation --clients 3 --clients 100 --json`
    """
    from benchmarks.secure_aggregation import Load, measure_secure_aggregation

    load = Load(items, dim, turns=turns)
    if clients:
        load = load._replace(cohorts=tuple(clients))
    with told_steps(ERR) as report:
        figures = measure_secure_aggregation(load, report, flower=flower)
    if as_json:
        print_json(figures)
        return
    show_secure_aggregation(figures)


def show_secure_aggregation(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.secure_aggregation.measure_secure_aggregation` as a table."""
    rows = (
        (
            f"{of['clients']}, {of['dropped']} drop out",
            str(of["threshold"]),
            f"{of['client']['seconds'] * 1000:,.1f}",
            f"{of['client']['cpu_seconds'] * 1000:,.1f}",
            f"{of['server']['seconds'] * 1000:,.1f}",
            f"{of['server']['cpu_seconds'] * 1000:,.1f}",
            f"{of['plain']['server_seconds'] * 1000:,.1f}",
            f"{of['client']['uplink_bytes'] / 1000:,.0f}",
            f"{of['client']['uplink_of_plain']:.3f}",
            f"{of['client']['downlink_bytes'] / 1000:,.1f}",
        )
        for of in figures["rounds"]
    )
    columns = (
        "clients",
        "threshold",
        "client ms",
        "of CPU",
        "server ms",
        "of CPU",
        "in clear ms",
        "up kB",
        "of plain",
        "down kB",
    )
    OUT.print(table(f"{figures['load']['numbers']:,} numbers of each client", columns, rows))
    mask = figures["mask"]
    beside = (
        f"; as Flower's SecAgg+ makes it {mask['flower_seconds'] * 1000:,.1f} ms" if "flower_seconds" in mask else ""
    )
    OUT.print(f"one mask: {mask['seconds'] * 1000:,.2f} ms, {mask['bytes_per_second'] / 1e9:.1f} GB/s{beside}")
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
