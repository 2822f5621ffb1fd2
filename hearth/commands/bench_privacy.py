"""`hearth bench privacy`: ranking quality against ε, and attacks on what the server receives."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def privacy(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    delta: Annotated[float, typer.Option(help="δ of every ε.")] = 1e-5,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the training without privacy.")] = 40,
    as_json: JsonOption = False,
) -> None:
    """NDCG@20 at ε of 1, 2, 4, 8, 16 and without privacy; and what single updates, sums and noised sums give away.

    Example: `hearth bench privacy --split split_ml1m/ --json`
    """
    from hearth.sources import read_source

    source = read_source(split, None)
    for note in source.notes:
        ERR.print(note)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.privacy import measure_privacy

    with told_steps(ERR) as report:
        figures = measure_privacy(
            source.split, delta=delta, dim=dim, rounds=rounds, seeds=range(1, seeds + 1), report=report
        )
    if as_json:
        print_json(figures)
        return
    show_privacy(figures, seeds)


def show_privacy(figures: dict[str, Any], seeds: int) -> None:
    """The figures of `benchmarks.privacy.measure_privacy` as tables."""
    points = (
        (
            "none" if point["epsilon"] is None else f"{point['epsilon']:g}",
            f"{point['ndcg@20']:.4f} ± {point['spread']['ndcg@20']:.4f}",
            f"{point['recall@20']:.4f}",
            str(point.get("items", "-")),
            f"{point['uplink_bytes_per_client'] / 1e6:.1f}",
            f"{point['seconds']:.1f}",
        )
        for point in figures["curve"]
    )
    title = f"Test quality at δ = {figures['delta']:g}, mean of {seeds} seeds"
    OUT.print(table(title, ("ε", "NDCG@20", "recall@20", "items", "MB up/client", "s"), points))
    columns = ("sign_auc", "sign_f1", "support_f1", "membership_auc", "membership_auc_at_most")
    attacks = (
        (seen, *(f"{found[name]:.3f}" if name in found else "-" for name in columns))
        for seen, found in figures["attacks"]["received"].items()
    )
    OUT.print(table("What the server receives, and what of single people it finds in that", ("", *columns), attacks))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
