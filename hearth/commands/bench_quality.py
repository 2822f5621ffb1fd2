"""`hearth bench quality`: ranking quality of federated training beside its centralised peers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import (
    ConfigOption,
    ItemsOption,
    JsonOption,
    MinValueOption,
    RepeatsName,
    RepeatsOption,
    SplitByName,
    SplitByOption,
)
from hearth.terminal import ERR, OUT, print_json, quality_table, table, told_steps


def quality(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    items: ItemsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    config: ConfigOption = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Of the item vectors, ours and ALS'. Default: 64.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each federated run. Default: 40.")] = None,
    cohort: Annotated[
        int | None, typer.Option(min=1, help="Clients a round. Default: 10 % of them, at most 600.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of an item not met. Default: 720 / items, at most 1.")
    ] = None,
    regularization: Annotated[float | None, typer.Option(help="λ of the loss. Default: 0.01.")] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose alpha and λ on valid, from a grid as the peers have.")
    ] = False,
    split_by: SplitByOption = SplitByName.PERSON,
    repeats: RepeatsOption = RepeatsName.NEW,
    valid_from: Annotated[
        datetime | None, typer.Option(help="By time: where validation begins (UTC). Default: after 70 % of all.")
    ] = None,
    test_from: Annotated[
        datetime | None, typer.Option(help="By time: where the test begins (UTC). Default: after 80 % of all.")
    ] = None,
    min_value: MinValueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ranking quality of federated training beside ALS, EASE and popularity, which see all data in one place.

    Example: `hearth bench quality --split ml-100k/ --seeds 3 --json`
    """
    from feature_store.errors import BadInput
    from hearth.sources import read_source
    from hearth.training_config import training_settings
    from training.split_global import Cuts
    from training.split_rule import SplitRule

    options = {"dim": dim, "rounds": rounds, "cohort": cohort, "alpha": alpha, "regularization": regularization}
    given = training_settings(config, {**options, "patience": 0})
    if (valid_from is None) != (test_from is None):
        raise BadInput("--valid-from and --test-from are given together or not at all")
    cuts = Cuts(_seconds(valid_from), _seconds(test_from)) if valid_from and test_from else None
    rule = SplitRule(split_by.value, repeats.value, cuts)
    source = read_source(split, items, min_value=min_value, rule=rule)
    for note in source.notes:
        ERR.print(note)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.federated_choice import LOSS_GRID
    from benchmarks.quality import measure_quality
    from training.cohort import population

    tenth = max(1, min(600, len(population(source.split.train)) // 10))
    settings = given.model_copy(update={"cohort": given.cohort if "cohort" in given.model_fields_set else tenth})
    grid = LOSS_GRID if tune else ()
    with told_steps(ERR) as report:
        figures = measure_quality(
            source.split, settings, range(1, seeds + 1), report, source.features(settings.tower), grid
        )
    if as_json:
        print_json(figures)
        return
    show_quality(figures)


def _seconds(at: datetime) -> float:
    """Seconds since 1970 of a time that is UTC."""
    return at.replace(tzinfo=UTC).timestamp()


def show_quality(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.quality.measure_quality` as tables."""
    federated = figures["federated"]
    ours = {"federated": federated["mean"]}
    if "recency" in figures:
        ours["federated + recency"] = figures["recency"]["mean"]
    qualities = ours | {name: peer["mean"] for name, peer in figures["peers"].items()}
    OUT.print(quality_table(f"Test quality, mean of {len(federated['rounds'])} seeds", qualities))
    names = ("recall@20", "ndcg@20")
    ratios = (
        (peer, *(f"{ratio[name]:.3f}" if name in ratio else "-" for name in names))
        for peer, ratio in figures["ratios"].items()
    )
    OUT.print(table("Federated over centralised", ("", *names), ratios))
    canary = figures["canary"]
    verdict = canary.get("left_out") or f"{canary['hr_10']:.3f} (chance {canary['chance']:.3f})"
    seconds = ", ".join(f"{value:.1f}" for value in federated["training_seconds"])
    OUT.print(
        f"{federated['rounds'][0]} rounds of {federated['cohort']} of {federated['clients']} clients; "
        f"{federated['uplink_bytes_per_client'] / 1e6:.1f} MB up per client in all; {seconds} s of training; "
        f"canary: {verdict}"
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
