"""`hearth bench communication`: ranking quality against the bytes of training, beside no compression."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def communication(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of each run.")] = 20,
    plot: Annotated[Path | None, typer.Option(help="Draw NDCG@20 by bytes sent into this SVG file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """NDCG@20 and HR@10 against bytes up and down, whole sums beside compressed ones, and bytes until 97 %.

    Example: `hearth bench communication --split split_ml1m/ --json`
    """
    from hearth.sources import read_source

    source = read_source(split, None)
    for note in source.notes:
        ERR.print(note)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.communication import measure_communication

    with told_steps(ERR) as report:
        figures = measure_communication(source.split, dim=dim, rounds=rounds, seeds=range(1, seeds + 1), report=report)
    if plot:
        from benchmarks.communication_plot import draw_communication

        draw_communication(figures, plot)
    if as_json:
        print_json(figures)
        return
    show_communication(figures)


def show_communication(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.communication.measure_communication` as a table."""
    rows = (
        (
            way["way"],
            f"{way['ndcg@20']:.4f} ± {way['spread']['ndcg@20']:.4f}",
            f"{way['hr@10']:.4f}",
            f"{way['uplink_bytes_a_round']:,.0f}",
            f"{way['uplink_ratio']:.1f}x",
            f"{way['downlink_bytes_a_round']:,.0f}",
            "-" if way["rounds_until_enough"] is None else f"{way['rounds_until_enough']:.1f}",
            "-" if way["uplink_bytes_until_enough"] is None else f"{way['uplink_bytes_until_enough'] / 1e6:.2f}",
        )
        for way in figures["ways"]
    )
    title = (
        f"{figures['rounds']} rounds, {figures['cells']} cells, {figures['items']:,} items at dim {figures['dim']}; "
        f"centralised NDCG@20 {figures['centralised_ndcg@20']:.4f}; mean of {figures['seeds']} seeds"
    )
    until = f"until {figures['enough']:.0%}: "
    columns = ("", "NDCG@20", "HR@10", "up/round", "", "down/round", f"{until}rounds", f"{until}MB up")
    OUT.print(table(title, columns, rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
