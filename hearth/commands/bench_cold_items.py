"""`hearth bench cold-items`: how well new items are ranked from their content."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import ItemsOption, JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def cold_items(
    interactions: Annotated[Path, typer.Option(help="A folder with interactions.csv[.gz], or such a file.")],
    items: ItemsOption = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a column of the catalogue holds, as NAME=category, number or none; may be repeated."),
    ] = None,
    cross: Annotated[
        list[str] | None, typer.Option(help="Two columns whose combinations are a feature, as A*B; may be repeated.")
    ] = None,
    text_encoder: Annotated[
        str | None, typer.Option(help="What encodes titles, as module:callable; none leaves them out.")
    ] = None,
    text_width: Annotated[int, typer.Option(min=0, help="Hidden units behind the encoded titles; 0: none.")] = 0,
    content_regularization: Annotated[
        list[float] | None, typer.Option(help="ρ of the content part; of several the best on validation items.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many draws of new items, from seed 1 on.")] = 3,
    least: Annotated[int, typer.Option(min=1, help="Draw new items among those that so many people met.")] = 1,
    dim: Annotated[int, typer.Option(min=1, help="Of the item vectors.")] = 128,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each run.")] = 20,
    cohort: Annotated[int, typer.Option(min=1, help="Clients a round.")] = 600,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of an item not met. Default: 720 / items, at most 1.")
    ] = None,
    regularization: Annotated[float, typer.Option(help="λ of the loss.")] = 0.01,
    as_json: JsonOption = False,
) -> None:
    """Recall@20 among items that nobody had met in training, beside random and category-popularity.

    A fifth of the items is held out of training for the test, and a fifth of the others for validation.

    Example: `hearth bench cold-items --interactions ml-100k/`
    """
    from feature_store.errors import BadInput
    from hearth.sources import read_source
    from training.settings import TrainingSettings
    from training.tower_settings import STATIC_ENCODER, TowerSettings

    kinds = dict(_pair(text, "=", "--column is NAME=KIND") for text in column or ())
    crosses = tuple(_pair(text, "*", "--cross is A*B") for text in cross or ())
    source = read_source(interactions, items, valid=0, test=0, kinds=kinds)  # type: ignore[arg-type]  # read_catalogue says which kinds there are
    if source.catalogue is None:
        raise BadInput(f"new items are ranked by their content, and {interactions} has no catalogue; --items names one")
    encoder = {None: STATIC_ENCODER, "none": None}.get(text_encoder, text_encoder)
    candidates = [
        TrainingSettings(
            dim=dim,
            rounds=rounds,
            cohort=cohort,
            alpha=alpha,
            regularization=regularization,
            patience=0,
            tower=TowerSettings(
                text_encoder=encoder, text_width=text_width, crosses=crosses, content_regularization=rho
            ),
        )
        for rho in content_regularization or [10.0]
    ]
    features = source.features(candidates[0].tower)
    known = source.catalogue
    categories = [known[i].categories if i in known else () for i in source.split.vocabulary.item_ids]

    from benchmarks.cold_items import measure_cold_items

    with told_steps(ERR) as report:
        figures = measure_cold_items(
            source.split, categories, features, candidates, seeds=range(1, seeds + 1), least=least, report=report
        )
    if as_json:
        print_json(figures)
        return
    show_cold_items(figures)


def show_cold_items(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.cold_items.measure_cold_items` as a table."""
    names = ("recall@20", "ndcg@20", "hr@10")
    rows = (
        (
            who,
            *(f"{result['mean'][name]:.4f} ± {result['spread'][name]:.4f}" for name in names),
            f"{figures['ratios'][who]:.2f}" if who in figures["ratios"] else "",
        )
        for who, result in figures["test"].items()
    )
    title = f"{figures['data']['test_items']:,} new items, mean of {len(figures['seeds'])} draws"
    OUT.print(table(title, ("", *names, "tower over it"), rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")


def _pair(text: str, separator: str, form: str) -> tuple[str, str]:
    from feature_store.errors import BadInput

    one, found, other = text.partition(separator)
    if not (found and one.strip() and other.strip()):
        raise BadInput(f"{form}; got {text!r}")
    return one.strip(), other.strip()
