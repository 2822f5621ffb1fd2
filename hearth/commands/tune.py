"""`hearth tune`: settings chosen on the validation items, in a file that `hearth train --config` takes."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import (
    ItemsOption,
    JsonOption,
    MinValueOption,
    RepeatsName,
    RepeatsOption,
    SplitByName,
    SplitByOption,
)
from hearth.commands.train import AlgorithmName, ServerOptimizerName
from hearth.terminal import ERR, OUT, print_json, table


def tune(
    study: Annotated[Path, typer.Option(help="Folder for the study and what it chooses; gone on with if it is there.")],
    interactions: Annotated[
        Path | None, typer.Option(help="interactions.csv[.gz], a folder with one, or a folder with train.txt[.gz].")
    ] = None,
    items: ItemsOption = None,
    trials: Annotated[int, typer.Option(min=1, help="How many, those of earlier sessions of the study included.")] = 30,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds after which no further trial starts.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings to start from, .toml or .json; options go first. Default: those of train."),
    ] = None,
    algorithm: Annotated[AlgorithmName | None, typer.Option(help="How the server steps. Default: curvature.")] = None,
    server_optimizer: Annotated[ServerOptimizerName | None, typer.Option(help="Of fedavg. Default: fedavg.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Numbers in an item vector. Default: 64.")] = None,
    try_dim: Annotated[
        list[int] | None, typer.Option(min=1, help="Try this many too; may be given again. Default: --dim alone.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="The most rounds of a trial. Default: 40.")] = None,
    cohort: Annotated[int | None, typer.Option(min=1, help="Clients a round. Default: 600.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the trainings and of what is tried. Default: 7.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Rounds without gain before a trial stops; 0: never. Default: 8.")
    ] = None,
    valid_share: Annotated[float, typer.Option(help="Share of each person's items, in time, that validates.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Share kept apart for `hearth evaluate`, and not looked at.")] = 0.2,
    split_by: SplitByOption = SplitByName.PERSON,
    repeats: RepeatsOption = RepeatsName.NEW,
    min_value: MinValueOption = None,
    vertical: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH, once or more, without --interactions: verticals that are trained together."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the study that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Choose settings of training by how well they do on the validation items.

    The first trial is of the settings as they are, so the outcome is never below them on those items. The test items
    have no part in it. Run the same command again after an interruption, and the study goes on.

    Example: `hearth tune --interactions ml-100k/ --study studies/ml-100k --trials 30`
    """
    from hearth.sources import read_source
    from hearth.training_config import training_settings
    from hearth.verticals import read_verticals
    from training.split_rule import SplitRule

    base = training_settings(
        config,
        {
            "algorithm": algorithm,
            "server.optimizer": server_optimizer,
            "dim": dim,
            "rounds": rounds,
            "cohort": cohort,
            "seed": seed,
            "patience": patience,
        },
    )
    rule = SplitRule(split_by.value, repeats.value)
    read = partial(read_source, valid=valid_share, test=test_share, min_value=min_value, rule=rule)
    source, _ = read_verticals(interactions, vertical or (), items, read)
    for note in source.notes:
        ERR.print(note)

    # TensorFlow takes seconds to start: what is wrong so far has been said by now.
    from hearth import tuning
    from hearth.tuning_display import tuning_display

    features = source.features(base.tower)
    dims = tuple(try_dim or ())
    try:
        with tuning_display(trials, ERR) as watch:
            tuned = tuning.tune(
                study,
                source.split,
                features,
                base,
                trials=trials,
                timeout=timeout,
                dims=dims,
                fresh=fresh,
                watch=watch,
            )
    except KeyboardInterrupt:
        ERR.print("interrupted; each finished trial is kept, and the same command goes on from there")
        raise
    if as_json:
        print_json(tuned.summary())
        return
    OUT.print(tuned.text(), soft_wrap=True)
    if tuned.importance:
        shares = ((name, f"{share:.0%}") for name, share in tuned.importance.items())
        OUT.print(table("Which settings decided, over the ranges tried", ("setting", "share"), shares))
