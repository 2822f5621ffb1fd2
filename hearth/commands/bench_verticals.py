"""`hearth bench verticals`: whether history in some domains helps in another."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def verticals(
    data: Annotated[Path, typer.Option(help="The folder of complete_journey: interactions.csv.gz, items.csv.gz.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on; each has cold people of its own.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """One model over three domains beside one model for each, for people who are new in one of them.

    The domains are departments of a grocery: packaged food, drugstore and general merchandise, fresh food.

    Example: `hearth bench verticals --data complete_journey/ --json`
    """
    from training.interactions import read_interactions

    interactions = read_interactions(data / "interactions.csv.gz")

    # TensorFlow takes seconds to start: what is wrong with the interactions has been said by now.
    from benchmarks.market import COMPLETE_JOURNEY, market_of, read_domains
    from benchmarks.verticals import measure_verticals
    from training.settings import TrainingSettings

    market = market_of(interactions, read_domains(data / "items.csv.gz", COMPLETE_JOURNEY))
    settings = TrainingSettings(dim=dim, rounds=rounds, cohort=len(interactions.user_ids), patience=0)
    with told_steps(ERR) as report:
        figures = measure_verticals(market, settings, range(1, seeds + 1), report)
    if as_json:
        print_json(figures)
        return
    show_verticals(figures)


def show_verticals(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.verticals.measure_verticals` as a table."""
    rows = (
        (
            f"{domain}, {group}",
            *(f"{of[group][who]['ndcg@20']['mean']:.4f}" for who in ("together", "apart", "popular")),
            *(f"{of[group][who]['recall@20']['mean']:.4f}" for who in ("together", "apart", "popular")),
        )
        for domain, of in figures["domains"].items()
        for group in ("cold", "warm")
    )
    columns = ("people", "NDCG together", "apart", "popular", "recall together", "apart", "popular")
    OUT.print(table(f"Verticals together and apart, mean of {len(figures['seeds'])} seeds", columns, rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
