"""`hearth evaluate`: the quality of a published checkpoint on held-out items."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import (
    ItemsOption,
    JsonOption,
    PlaceOption,
    RepeatsName,
    RepeatsOption,
    SplitByName,
    SplitByOption,
    TrustOption,
)
from hearth.group_tables import group_tables
from hearth.terminal import ERR, OUT, print_json, quality_table
from hearth.trust import open_registry


def evaluate(
    registry: PlaceOption,
    split: Annotated[
        Path | None, typer.Option(help="The data that the checkpoint was trained on, as given to `hearth train`.")
    ] = None,
    items: ItemsOption = None,
    checkpoint: Annotated[str | None, typer.Option(help="Its id. Default: the one in production.")] = None,
    valid_share: Annotated[float, typer.Option(help="As given to `hearth train`.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="As given to `hearth train`.")] = 0.2,
    split_by: SplitByOption = SplitByName.PERSON,
    repeats: RepeatsOption = RepeatsName.NEW,
    min_value: Annotated[float | None, typer.Option(help="As given to `hearth train`.")] = None,
    vertical: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of each vertical, as given to `hearth train`; without --split."),
    ] = None,
    groups: Annotated[
        bool, typer.Option("--groups", help="By activity of people and popularity of items too: who is served badly?")
    ] = False,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank all items for everybody who has test items, and count which of those are found.

    Train items are folded in as serving does it; train and validation items are left out of the ranking.

    Example: `hearth evaluate --split ml-100k/ --registry models --json`
    """
    from hearth.sources import read_source
    from hearth.verticals import read_verticals
    from training.checkpoint_quality import checkpoint_groups, checkpoint_quality
    from training.split import digest
    from training.split_rule import SplitRule

    opened = open_registry(registry, trust)
    loaded = opened.load(checkpoint or opened.production())
    rule = SplitRule(split_by.value, repeats.value)
    read = partial(read_source, valid=valid_share, test=test_share, min_value=min_value, rule=rule)
    source, _ = read_verticals(split, vertical or (), items, read, "--split")
    figures = checkpoint_quality(loaded, source.split).figures()
    same = loaded.manifest.training.get("data") == digest(source.split)
    if not same:
        ERR.print(
            "This is not the split that the checkpoint was trained on: it may have been trained on the test items."
        )
    found = checkpoint_groups(loaded, source.split) if groups else None
    if as_json:
        by_group = {"groups": asdict(found)} if found else {}
        names = {"checkpoint_id": loaded.manifest.checkpoint_id, "trained_on_this_split": same}
        print_json({**names, **figures, **by_group})
        return
    title = f"Checkpoint {loaded.manifest.checkpoint_id} on the test items of {figures['users']} people"
    OUT.print(quality_table(title, {"federated": figures}))
    if found:
        for shown in group_tables(found):
            OUT.print(shown)
