"""`hearth bench poisoning`: how far malicious people, devices and cells bring one item, with and without defences."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def poisoning(
    split: Annotated[Path, typer.Option(help="A folder with train.txt[.gz], or interactions to split by time.")],
    targets: Annotated[int, typer.Option(min=1, help="How many unpopular items are promoted, each by itself.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 2,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in an item vector.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each run.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Promote unpopular items with 5 % malicious clients; ER@10 and NDCG@20 without a defence and with several.

    Example: `hearth bench poisoning --split ml-100k/ --json`
    """
    from hearth.sources import read_source

    source = read_source(split, None)
    for note in source.notes:
        ERR.print(note)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.poisoning import measure_poisoning

    with told_steps(ERR) as report:
        figures = measure_poisoning(
            source.split, targets=targets, seeds=range(1, seeds + 1), rounds=rounds, dim=dim, report=report
        )
    if as_json:
        print_json(figures)
        return
    show_poisoning(figures)


def show_poisoning(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.poisoning.measure_poisoning` as a table."""
    attacks = ("nobody", "fillers", "chosen", "device", "cell")
    rows = (
        (
            name,
            *(
                f"{met[attack]['exposure']:.3f} / {met[attack]['ndcg']:.4f}" if attack in met else "-"
                for attack in attacks
            ),
        )
        for name, met in figures["defences"].items()
    )
    title = f"ER@10 of the target / NDCG@20 of {figures['people']} honest people, {figures['malicious']} malicious"
    OUT.print(table(title, ("", *attacks), rows))
    alike = figures["honestly_met_as_often"]
    if alike:
        OUT.print(
            f"{alike['items']} items that as many honest people have met: ER@10 {alike['mean']:.3f} in the mean, "
            f"{alike['most']:.3f} at most"
        )
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
