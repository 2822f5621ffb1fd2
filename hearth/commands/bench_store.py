"""`hearth bench store`: the stores of a device and of an edge cell, beside raw redis-py."""

from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def store(
    users: Annotated[int, typer.Option(min=200, help="People in each store.")] = 100_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an embedding.")] = 64,
    events: Annotated[int, typer.Option(min=1, max=500, help="Events of each person.")] = 20,
    requests: Annotated[int, typer.Option(min=100, help="Timed of each kind.")] = 5000,
    at_once: Annotated[int, typer.Option(min=2, max=32, help="Requests under way at the same time.")] = 16,
    redis: Annotated[
        str | None, typer.Option(help="URL of a Redis with an empty database. Default: one started for the time.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read and write user embeddings in Redis and SQLite, beside GET and SET of the same bytes by redis-py alone.

    Example: `hearth bench store --users 100000 --json`
    """
    from benchmarks.store import Load, measure_store

    with told_steps(ERR) as report:
        figures = measure_store(Load(users, dim, events, requests, at_once), redis, report)
    if as_json:
        print_json(figures)
        return
    show_store(figures)


def show_store(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.store.measure_store` as a table."""
    rows = (
        (
            what.replace("_", " "),
            name,
            f"{of['p50_microseconds']:,.0f}",
            f"{of['p99_microseconds']:,.0f}",
            f"{of['per_second']:,.0f}",
            f"{of['of_raw']:.0%}",
        )
        for what, kinds in figures["figures"].items()
        for name, of in kinds.items()
        if isinstance(of, dict)
    )
    load, sizes = figures["load"], figures["sizes"]
    columns = ("what", "where", "p50 µs", "p99 µs", "per second", "of raw")
    OUT.print(table(f"{load['users']:,} people, dim {load['dim']}", columns, rows))
    for name in ("redis", "sqlite"):
        of = sizes[name]
        OUT.print(
            f"{name}: {of['bytes_per_user_embedding']:,.0f} bytes a person, with {load['events']} events "
            f"{of['bytes_per_user_with_events']:,.0f}; {of['extrapolated_users']:,} people would take "
            f"{of['extrapolated_bytes_with_events'] / 1e9:.2f} GB"
        )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, Redis {figures['redis']}, {figures['date']}")
    OUT.print(figures["command"])
