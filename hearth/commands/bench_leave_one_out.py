"""`hearth bench leave-one-out`: the published test that ranks one item among 99 others."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def leave_one_out(
    data: Annotated[Path, typer.Option(help="A folder with interactions.csv.gz and ncf_test.csv.gz.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 1 on.")] = 3,
    dim: Annotated[int, typer.Option(min=1, help="Of the item vectors, ours and ALS'.")] = 128,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each federated run.")] = 60,
    cohort: Annotated[
        int | None, typer.Option(min=1, help="Clients a round. Default: 10 % of them, at most 600.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """HR@10 and NDCG@10 of one held-out item among 99 others, to compare with papers that report it.

    Settings are chosen on a validation of the same form, made from the train part. Ties count against us. For any
    other purpose `hearth bench quality` ranks all items.

    Example: `hearth bench leave-one-out --data movielens_1m_ncf/ --json`
    """
    from training.split_leave_one_out import read_leave_one_out

    read = read_leave_one_out(data)

    # TensorFlow takes seconds to start: what is wrong with the data has been said by now.
    from benchmarks.leave_one_out import measure_leave_one_out
    from training.cohort import population
    from training.settings import TrainingSettings

    size = cohort or max(1, min(600, len(population(read.final.train)) // 10))
    settings = TrainingSettings(dim=dim, rounds=rounds, cohort=size, patience=0)
    with told_steps(ERR) as report:
        figures = measure_leave_one_out(read, settings, range(1, seeds + 1), report)
    if as_json:
        print_json(figures)
        return
    show_leave_one_out(figures, seeds)


def show_leave_one_out(figures: dict[str, Any], seeds: int) -> None:
    """The figures of `benchmarks.leave_one_out.measure_leave_one_out` as a table."""
    judged = {"federated": figures["federated"], **figures["peers"]}
    names = ("sampled_hr@10", "sampled_ndcg@10")
    rows = ((who, *(f"{of['mean'][name]:.4f}" for name in names), str(of["chosen"])) for who, of in judged.items())
    OUT.print(table(f"One item among 99 others, mean of {seeds} seeds", ("", "HR@10", "NDCG@10", "chosen"), rows))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
