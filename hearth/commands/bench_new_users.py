"""`hearth bench new-users`: people who never took part in training, by how much is known of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import ItemsOption, JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def new_users(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    items: ItemsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on; each has new users of its own.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 40,
    cohort: Annotated[
        int | None, typer.Option(min=1, help="Clients a round. Default: 10 % of those who train, at most 600.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fold in people whom training never saw, from few of their items, beside popularity.

    A fifth of the people is held out. The blend with popularity is chosen on the validation items of the others.

    Example: `hearth bench new-users --split split_ml1m/ --json`
    """
    from hearth.sources import read_source

    source = read_source(split, items)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.new_users import HELD_SHARE, measure_new_users
    from training.cohort import population
    from training.settings import TrainingSettings

    training = len(population(source.split.train)) * (1 - HELD_SHARE)
    settings = TrainingSettings(
        dim=dim, rounds=rounds, cohort=cohort or max(1, min(600, int(training) // 10)), patience=0
    )
    with told_steps(ERR) as report:
        figures = measure_new_users(source.split, settings, range(1, seeds + 1), report, source.features())
    if as_json:
        print_json(figures)
        return
    show_new_users(figures)


def show_new_users(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.new_users.measure_new_users` as tables."""
    for ranking, title in (("rest_left_out", "other items met left out"), ("as_served", "as served")):
        rows = (
            (
                known,
                *(f"{who[name]['ndcg@20']['mean']:.4f}" for name in ("personal", "blended", "popular")),
                *(f"{who[name]['recall@20']['mean']:.4f}" for name in ("personal", "blended", "popular")),
            )
            for known, who in figures[ranking].items()
        )
        columns = ("known", "NDCG personal", "blended", "popular", "recall personal", "blended", "popular")
        OUT.print(table(f"New users, {title}", columns, rows))
    below = "; ".join(figures["below_popularity"]) or "nowhere"
    weights = ", ".join(f"{weight:g}" for weight in figures["popularity_weights"])
    OUT.print(f"Weight of popularity, chosen on valid: {weights}. Blended below popularity: {below}.")
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
