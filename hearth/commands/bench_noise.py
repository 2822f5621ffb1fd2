"""`hearth bench noise`: what noised vectors cost in quality."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import ItemsOption, JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def noise(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    items: ItemsOption = None,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    alpha: Annotated[float, typer.Option(help="Weight of items that a person has not met.")] = 0.3,
    regularization: Annotated[float, typer.Option(help="Of the loss; see docs/training.md.")] = 0.01,
    epsilon: Annotated[
        list[float] | None, typer.Option(help="Above 0, at most 64; may be given again. Default: 2, 4, 8, ... 64.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="How often everybody is noised.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Noise everybody's vector as a device does (local differential privacy), and rank by what would be sent.

    Example: `hearth bench noise --split ml-100k/ --epsilon 8`
    """
    from hearth.sources import read_source

    source = read_source(split, items)
    from benchmarks.noise import EPSILONS, measure_noise
    from feature_store.fold_in import FoldInSettings

    weights = FoldInSettings(alpha, regularization)
    with told_steps(ERR) as report:
        figures = measure_noise(source.split, dim, weights, epsilon or EPSILONS, draws, report)
    if as_json:
        print_json(figures)
        return
    show_noise(figures)


def show_noise(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.noise.measure_noise` as a table."""
    lines = [
        [
            f"{row['epsilon']:g} {row['mechanism']}",
            str(row["chosen"]["directions"]),
            _figure(row["chosen"]["ndcg@20"]),
            _figure(row["chosen"]["recall@20"]),
            _figure(row["all_numbers"]["ndcg@20"]),
        ]
        for row in figures["noised"]
    ]
    for name, title in (("none", "without noise"), ("popular", "what is popular")):
        lines.append([title, "", f"{figures[name]['ndcg@20']:.4f}", f"{figures[name]['recall@20']:.4f}", ""])
    columns = ("epsilon", "directions", "NDCG@20", "recall@20", "NDCG@20, all numbers told")
    OUT.print(table("Noised vectors", columns, lines))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")


def _figure(one: dict[str, float]) -> str:
    return f"{one['mean']:.4f} ± {one['spread']:.4f}"
