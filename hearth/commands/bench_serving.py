"""`hearth bench serving`: requests a second that a real server answers in time, beside two others in the same run."""

from typing import Annotated, Any, Literal

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def serving(
    items: Annotated[int, typer.Option(min=1000, help="Items of the checkpoint.")] = 100_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    people: Annotated[int, typer.Option(min=10, help="People with a history.")] = 1000,
    store: Annotated[Literal["sqlite", "memory"], typer.Option(help="Where people are kept.")] = "sqlite",
    index: Annotated[
        Literal["auto", "exact", "int8", "inverted"], typer.Option(help="By which items are found.")
    ] = "auto",
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Items of a list.")] = 10,
    selectivity: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of the catalogue that filters let through; may be given again. Default: 1, 0.5, 0.01."
        ),
    ] = None,
    connections: Annotated[int, typer.Option(min=1, help="Of the load, kept open.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each step.")] = 5.0,
    soak: Annotated[float, typer.Option(min=0.0, help="Seconds that a load goes on at the end; 0: none.")] = 0.0,
    share: Annotated[float, typer.Option(help="Load of the soak, by what meets a p99 of 50 ms.")] = 0.7,
    peers: Annotated[bool, typer.Option(help="Whether the two other servers are measured as well.")] = True,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Above 1, a server of so many processes is measured too.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Find by steps how many requests a second real servers answer with a p99 of 10 and of 50 ms.

    Requests go out when they are due, whatever became of those before, and their time counts from then.

    Example: `hearth bench serving --soak 300 --json`
    """
    from benchmarks.serving_load_world import Size
    from benchmarks.serving_under_load import Plan, measure_serving

    size = Size(items=items, dim=dim, people=people, store=store, found_by=index)
    plan = Plan(tuple(selectivity or Plan().selectivities), k, connections, seconds, soak, share, peers, workers)
    with told_steps(ERR) as report:
        figures = measure_serving(size, plan, report)
    if as_json:
        print_json(figures)
        return
    show_serving(figures)


def show_serving(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.serving_under_load.measure_serving` as tables."""
    bounds = list(figures["rows"][0]["at"])
    columns = ("server", "filter", "recall@k", "p50 ms", "p99", "CPU ms", *(f"rps, p99 {bound} ms" for bound in bounds))
    size, plan = figures["size"], figures["plan"]
    title = (
        f"{size['items']:,} items x {size['dim']}, index {figures['index']}, k = {plan['k']}, "
        f"{plan['connections']} connections"
    )
    OUT.print(table(title, columns, (_cells(row, bounds) for row in figures["rows"])))
    OUT.print("p50 and p99 are those of a fifth of what the server can answer; CPU, of all threads, of all it can")
    if (soak := figures["soak"]) is not None:
        minutes = (
            (str(number), f"{of['requests']:,}", str(of["failed"]), f"{of['p50']:.1f}", f"{of['p99']:.1f}",
             f"{of['cpu_milliseconds']:.2f}", f"{of['yardstick_milliseconds']:.2f}", f"{of['megabytes']:,.0f}")
            for number, of in enumerate(soak["minutes"], 1)
        )  # fmt: skip
        OUT.print(
            table(
                f"{soak['rate']:.0f} requests a second for {soak['seconds']:g} s",
                ("minute", "requests", "failed", "p50 ms", "p99", "CPU ms", "yardstick", "MB"),
                minutes,
            )
        )
    if (targets := figures["targets"]) is not None:
        for name, wanted in (
            ("of_constant", "share_of_constant"),
            ("by_tutorial", "times_tutorial"),
            ("by_tutorial_of_workers", "times_tutorial"),
        ):
            if targets[name] is None:
                continue
            ratios = ", ".join(f"{_ratio(value)} at {bound} ms" for bound, value in targets[name].items())
            OUT.print(f"rps {name.replace('_', ' ')}: {ratios}; should be {targets[wanted]:g} or more")
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")


def _cells(row: dict[str, Any], bounds: list[str]) -> tuple[str, ...]:
    gentle, recall = row["gentle"], row.get("recall")
    return (
        row["server"],
        "-" if row["selectivity"] is None else f"{row['selectivity']:g}",
        "-" if recall is None else f"{recall:.3f}",
        f"{gentle['p50']:.1f}",
        f"{gentle['p99']:.1f}",
        f"{row['busy']['cpu_milliseconds']:.2f}",
        *("never" if (of := row["at"][bound]) is None else f"{of['rps']:.0f}" for bound in bounds),
    )


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
