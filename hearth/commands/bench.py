"""`hearth bench`: measurements, each beside a peer in the same run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import ItemsOption, JsonOption
from hearth.terminal import ERR, OUT, print_json, quality_table, table

app = typer.Typer(help="Measurements, each beside a peer in the same run.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measurements, each beside a peer in the same run."""


@app.command("quality")
def quality(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    items: ItemsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    dim: Annotated[int, typer.Option(help="Of the item vectors, ours and ALS'.")] = 64,
    rounds: Annotated[int, typer.Option(help="Rounds of each federated run.")] = 40,
    cohort: Annotated[int | None, typer.Option(help="Clients a round. Default: 10 % of them, at most 600.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of an item not met. Default: 720 / items, at most 1.")
    ] = None,
    regularization: Annotated[float, typer.Option(help="λ of the loss.")] = 0.01,
    as_json: JsonOption = False,
) -> None:
    """Ranking quality of federated training beside ALS, EASE and popularity, which see all data in one place.

    Example: `hearth bench quality --split ml-100k/ --seeds 3 --json`
    """
    from benchmarks.quality import measure_quality
    from hearth.sources import read_source
    from training.cohort import population
    from training.run import TrainingSettings

    source = read_source(split, items)
    size = cohort or min(600, len(population(source.split.train)) // 10)
    settings = TrainingSettings(
        dim=dim, rounds=rounds, cohort=size, alpha=alpha, regularization=regularization, patience=0
    )
    with ERR.status("quality") as status:
        figures = measure_quality(source.split, settings, range(1, seeds + 1), status.update, source.features())
    if as_json:
        print_json(figures)
        return
    show_quality(figures)


def show_quality(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.quality.measure_quality` as tables."""
    federated = figures["federated"]
    qualities = {"federated": federated["mean"]} | {name: peer["mean"] for name, peer in figures["peers"].items()}
    OUT.print(quality_table(f"Test quality, mean of {len(federated['rounds'])} seeds", qualities))
    ratios = (
        (name, f"{ratio['recall@20']:.3f}", f"{ratio['ndcg@20']:.3f}") for name, ratio in figures["ratios"].items()
    )
    OUT.print(table("Federated over centralised", ("", "recall@20", "ndcg@20"), ratios))
    seconds = ", ".join(f"{value:.1f}" for value in federated["training_seconds"])
    OUT.print(
        f"{federated['rounds'][0]} rounds of {federated['cohort']} of {federated['clients']} clients; "
        f"{federated['uplink_bytes_per_client'] / 1e6:.1f} MB up per client in all; {seconds} s of training; "
        f"canary {figures['canary']['hr_10']:.3f} (chance {figures['canary']['chance']:.3f})"
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
