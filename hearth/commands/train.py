"""`hearth train`: federated training, from interactions to a published checkpoint."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from feature_store.manifest import PrivacySpent
from hearth.commands.device_options import DeviceName, DeviceOption, MixedPrecisionOption, XlaOption
from hearth.commands.options import (
    ConfigOption,
    ItemsOption,
    JsonOption,
    RegistryOption,
    RepeatsName,
    RepeatsOption,
    SigningKeyOption,
    SplitByName,
    SplitByOption,
)
from hearth.terminal import ERR, OUT, print_json, quality_table
from hearth.trust import own_key, registry_folder


class AlgorithmName(StrEnum):
    """The algorithms, as the command line names them."""

    CURVATURE = "curvature"
    FEDAVG = "fedavg"


class ServerOptimizerName(StrEnum):
    """The server optimizers of `fedavg`, as the command line names them."""

    FEDAVG = "fedavg"
    FEDAVGM = "fedavgm"
    FEDADAM = "fedadam"
    FEDYOGI = "fedyogi"


class AggregationName(StrEnum):
    """The aggregations, as the command line names them."""

    MEAN = "mean"
    MEDIAN = "median"
    TRIMMED_MEAN = "trimmed_mean"


def train(
    registry: RegistryOption,
    interactions: Annotated[
        Path | None, typer.Option(help="interactions.csv[.gz], a folder with one, or a folder with train.txt[.gz].")
    ] = None,
    items: ItemsOption = None,
    config: ConfigOption = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Numbers in an item vector. Default: 64.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="The most rounds. Default: 40.")] = None,
    cohort: Annotated[int | None, typer.Option(min=1, help="Clients a round, at most. Default: 600.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the cohorts and the start. Default: 7.")] = None,
    algorithm: Annotated[
        AlgorithmName | None, typer.Option(help="What clients do and how the server steps. Default: curvature.")
    ] = None,
    server_optimizer: Annotated[
        ServerOptimizerName | None, typer.Option(help="How the server steps with --algorithm fedavg. Default: fedavg.")
    ] = None,
    aggregation: Annotated[
        AggregationName | None, typer.Option(help="How the updates of a cohort become one. Default: mean.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of an item not met. Default: 720 / items, at most 1.")
    ] = None,
    regularization: Annotated[float | None, typer.Option(help="λ of the loss. Default: 0.01.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Rounds without gain on valid before stopping; 0: never. Default: 8.")
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="Train with user-level differential privacy, at this ε. Needs --delta. Default: without."),
    ] = None,
    delta: Annotated[float | None, typer.Option(help="δ, well below one over the number of people, as 1e-5.")] = None,
    privacy_budget: Annotated[
        float | None,
        typer.Option(help="The ε that all trainings into this registry may not pass. Default: --epsilon."),
    ] = None,
    valid_share: Annotated[float, typer.Option(help="Share of each person's items, in time, that validates.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Share kept apart for `hearth evaluate`; 0 trains on all.")] = 0.2,
    split_by: SplitByOption = SplitByName.PERSON,
    repeats: RepeatsOption = RepeatsName.NEW,
    min_value: Annotated[float | None, typer.Option(help="Leave out interactions with a lower value.")] = None,
    vertical: Annotated[
        list[str] | None,
        typer.Option(
            help="The vertical of the items. Default: e-commerce. Or NAME=PATH, once or more, without --interactions."
        ),
    ] = None,
    device: DeviceOption = DeviceName.AUTO,
    xla: XlaOption = False,
    mixed_precision: MixedPrecisionOption = False,
    promote: Annotated[bool, typer.Option(help="Put the checkpoint into production.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the saved state of an unfinished run.")] = False,
    signing_key: SigningKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a federated two-tower model and publish it to the registry.

    With --epsilon and --delta each person's whole history is protected: three sums with noise, of everybody, are all
    that is released, and a ledger in the registry holds all trainings on these people to one budget.

    The state is saved after each round: run the same command again after an interruption, and it goes on.

    Several verticals become one model, in which a person has one embedding for all of them:
    `--vertical news=clicks/ --vertical shop=orders/`

    Example: `hearth train --interactions ml-100k/ --registry models --promote`
    """
    from feature_store.registry import Registry
    from feature_store.signing import TrustedKeys
    from hearth.sources import read_source
    from hearth.training_config import training_settings
    from hearth.verticals import read_verticals
    from training.device import DeviceSettings
    from training.split_rule import SplitRule

    rule = SplitRule(split_by.value, repeats.value)
    settings = training_settings(
        config,
        {
            "dim": dim,
            "rounds": rounds,
            "cohort": cohort,
            "seed": seed,
            "algorithm": algorithm,
            "server.optimizer": server_optimizer,
            "aggregation.rule": aggregation,
            "alpha": alpha,
            "regularization": regularization,
            "patience": patience,
            "privacy.epsilon": epsilon,
            "privacy.delta": delta,
            "privacy.budget": privacy_budget,
        },
    )
    read = partial(read_source, valid=valid_share, test=test_share, min_value=min_value, rule=rule)
    source, catalogues = read_verticals(interactions, vertical or (), items, read)
    for note in source.notes:
        ERR.print(note)
    key = own_key(signing_key)
    published = Registry(registry_folder(registry), TrustedKeys([key.public]))
    registry.mkdir(parents=True, exist_ok=True)

    # TensorFlow takes seconds to start: what is wrong so far has been said by now.
    from hearth.report.writing import report_run
    from hearth.round_display import round_display
    from hearth.training_session import train_to_checkpoint
    from training.privacy.ledger import FileLedger
    from training.privacy.release import Releases
    from training.run import prepare

    where = DeviceSettings(device=device.value, xla=xla, mixed_precision=mixed_precision)
    releases = Releases(FileLedger(published.folder / "privacy" / "ledger.jsonl"))
    run = prepare(source.split, settings, source.features(settings.tower), where, releases)
    # A report has figures of people's data that no noise is added to; who publishes it has released them.
    report = None if settings.privacy else (lambda outcome: report_run(run, outcome, published))
    try:
        with round_display(settings.rounds, ERR) as show:
            outcome = train_to_checkpoint(
                run,
                published,
                key,
                catalogues=catalogues,
                fresh=fresh,
                show=show,
                report=report,
            )
    except KeyboardInterrupt:
        ERR.print("interrupted; each finished round is saved, and the same command goes on from there")
        raise
    if promote:
        published.promote(outcome.manifest.checkpoint_id)
    if as_json:
        spent = outcome.manifest.privacy
        privacy = {"privacy": spent.model_dump(mode="json")} if spent else {}
        print_json({**outcome.summary(), **privacy, "promoted": promote})
        return
    OUT.print(outcome.text(), soft_wrap=True)
    if outcome.reported:
        OUT.print(outcome.reported.text(), soft_wrap=True)
    if outcome.manifest.privacy:
        OUT.print(_private(outcome.manifest.privacy), soft_wrap=True)
    if outcome.manifest.metrics:
        OUT.print(quality_table("Quality on the validation items", {"federated": outcome.manifest.metrics}))
    if not promote:
        OUT.print(
            f"To serve it: hearth models promote {outcome.manifest.checkpoint_id} --registry {registry}", soft_wrap=True
        )


def _private(spent: PrivacySpent) -> str:
    return (
        f"Private: ε = {spent.epsilon:g} at δ = {spent.delta:g} for all that was released about these people so far, "
        f"ε = {spent.run_epsilon:g} by this training. No figure on the validation items and no report were made: they "
        f"would tell of people what nothing accounts for."
    )
