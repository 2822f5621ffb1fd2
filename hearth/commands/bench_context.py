"""`hearth bench context`: whether the hour, the weekday and the device of a request find more."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption, MinValueOption, RepeatsName, RepeatsOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


class FeatureName(StrEnum):
    """The features that one catalogue has, as the command line names them; a vertical is for several."""

    HOUR = "hour"
    WEEKDAY = "weekday"
    DEVICE = "device"


def context(
    split: Annotated[Path, typer.Option(help="A folder with interactions.csv[.gz] that have timestamps.")],
    devices: Annotated[
        list[str] | None, typer.Option("--device", help="A class in the column device; may be given again.")
    ] = None,
    features: Annotated[
        list[FeatureName] | None,
        typer.Option("--feature", help="Of the context. Default: hour and weekday, and device if named."),
    ] = None,
    utc_offset: Annotated[float, typer.Option(help="Hours that the people's clocks are ahead of UTC.")] = 0.0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 1,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 40,
    repeats: RepeatsOption = RepeatsName.NEW,
    min_value: MinValueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank what people met after a point of time, in the context of each request and without.

    Example: `hearth bench context --split online_retail/ --min-value 1 --json`
    """
    from hearth.sources import read_source
    from training.split_rule import SplitRule

    source = read_source(split, min_value=min_value, rule=SplitRule("time", repeats.value))

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.context import measure_context
    from training.cohort import population
    from training.context_settings import ContextSettings
    from training.settings import TrainingSettings

    named = features or [FeatureName.HOUR, FeatureName.WEEKDAY, *([FeatureName.DEVICE] if devices else [])]
    settings = TrainingSettings(
        dim=dim,
        rounds=rounds,
        cohort=max(1, min(600, len(population(source.split.train)) // 10)),
        patience=0,
        context=ContextSettings(
            features=tuple(name.value for name in named),
            devices=tuple(devices or ()),
            utc_offset_hours=utc_offset,
        ),
    )
    with told_steps(ERR) as report:
        figures = measure_context(source.split, settings, range(1, seeds + 1), report)
    if as_json:
        print_json(figures)
        return
    show_context(figures)


def show_context(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.context.measure_context` as a table."""
    rows = (
        (name, *(f"{of['mean'][metric]:.4f} ± {of['spread'][metric]:.4f}" for metric in ("recall@20", "ndcg@20")))
        for name, of in figures["test"].items()
    )
    OUT.print(table(f"{figures['requests']:,} requests by context", ("context", "recall@20", "NDCG@20"), rows))
    weights = " and with recency ".join(f"{weight:g}" for weight in figures["chosen_weight"])
    OUT.print(
        f"Context weighs {weights} by valid; {figures['uplink_bytes_per_client'] / 1e3:.0f} kB up per client for it."
    )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
