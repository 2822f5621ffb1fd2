"""`hearth bench tables`: recommenders x data sets, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from hearth.terminal import ERR, OUT, told_steps


def tables(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="The page to write; measured cells are kept beside it, in a .json.")],
    data_set: Annotated[list[str] | None, typer.Option(help="One to take; may be given again. Default: all.")] = None,
    row: Annotated[list[str] | None, typer.Option(help="A recommender; may be given again. Default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Of the item vectors, ours and ALS'.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 40,
    quick: Annotated[
        bool, typer.Option("--quick", help="One setting, one seed, few rounds: does everything run?")
    ] = False,
) -> None:
    """Every federated algorithm and centralised peer on every data set, each tuned on valid, as one page.

    It takes hours. Each cell is kept as soon as it is measured: the same command goes on after an interruption.

    Example: `hearth bench tables --data shared/data --out docs/results.md`
    """
    from benchmarks.table_data import DATA_SETS
    from benchmarks.tables import fill, page
    from feature_store.durable import replace
    from feature_store.errors import BadInput

    if out.suffix == ".json":
        raise BadInput(f"--out is a page in Markdown; {out} is where its measured cells would be kept")
    by_name = {known.name: known for known in DATA_SETS}
    unknown = set(data_set or ()) - by_name.keys()
    if unknown:
        raise BadInput(f"there is no data set {min(unknown)!r}; there are: {', '.join(by_name)}")
    chosen = [by_name[name] for name in data_set] if data_set else DATA_SETS
    with told_steps(ERR) as report:
        cells = fill(
            data,
            chosen,
            out.with_suffix(".json"),
            report,
            seeds=range(1, seeds + 1),
            dim=dim,
            rounds=rounds,
            only=row or (),
            quick=quick,
        )
    replace(out, page(cells, DATA_SETS).encode())
    OUT.print(f"Written: {out}", soft_wrap=True)
