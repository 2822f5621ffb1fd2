"""`hearth bench social`: whether what friends met helps."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def social(
    data: Annotated[Path, typer.Option(help="The folder of lastfm_2k: interactions.csv.gz, edges.csv.gz.")],
    event: Annotated[str, typer.Option(help="What counts as having met an item.")] = "listen",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on; each has a split of its own.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 40,
    item_item: Annotated[int, typer.Option(min=0, help="Items with item-item weights; 0: none.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Lists as a server gives them, without the social graph and with it, by how much is known of who asks.

    The model is trained without the graph; what the graph may do is chosen on valid.

    Example: `hearth bench social --data lastfm_2k/ --json`
    """
    from feature_store.social_graph_import import read_ties
    from training.interactions import read_interactions

    interactions = read_interactions(data / "interactions.csv.gz", events=[event])
    ties = list(read_ties(data / "edges.csv.gz", "friend"))

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.social import measure_social
    from hearth.social_lists import social_lists
    from training.item_item_settings import ItemItemSettings
    from training.settings import TrainingSettings

    settings = TrainingSettings(
        dim=dim,
        rounds=rounds,
        cohort=max(1, min(600, len(interactions.user_ids) // 4)),
        patience=0,
        item_item=ItemItemSettings(items=item_item),
    )
    with told_steps(ERR) as report:
        figures = measure_social(interactions, ties, settings, range(1, seeds + 1), social_lists, report)
    if as_json:
        print_json(figures)
        return
    show_social(figures)


def show_social(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.social.measure_social` as a table."""
    rows = (
        (
            known,
            *(f"{of[who][name]:.4f}" for name in ("recall@20", "ndcg@20") for who in ("alone", "graph")),
            *(f"{of[gain]['mean']:+.4f} ± {of[gain]['standard_error']:.4f}" for gain in ("recall_gain", "ndcg_gain")),
        )
        for known, of in figures["test"].items()
    )
    columns = ("known", "recall alone", "with graph", "NDCG alone", "with graph", "recall gained", "NDCG gained")
    OUT.print(table(f"The social graph, mean of {len(figures['seeds'])} seeds", columns, rows))
    chosen = figures["chosen"]
    OUT.print(f"Chosen on valid: {chosen['share']:g} of each list, friends weigh {chosen['weight']:g}.")
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
