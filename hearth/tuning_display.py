"""A study, as people watch it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hearth.tuned import Tuned
from hearth.tuning import Watch
from training.loop import RoundReport


@contextmanager
def tuning_display(trials: int, console: Console) -> Iterator[Watch]:
    """What to tell of a study: a bar on a terminal, a line a trial elsewhere."""
    if not console.is_interactive:
        yield Watch(
            round=lambda _number, _report: None,
            trial=lambda tuned: console.print(_line(tuned), soft_wrap=True, highlight=False),
        )
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console) as progress:
        task = progress.add_task("starting", total=trials)
        best_yet = "-"

        def show_round(number: int, report: RoundReport) -> None:
            ndcg = "-" if report.validation is None else f"{report.validation:.4f}"
            now = f"trial {number}, round {report.round_number}, valid ndcg@20 {ndcg}; best {best_yet}"
            progress.update(task, description=now)

        def show_trial(tuned: Tuned) -> None:
            nonlocal best_yet
            best_yet = f"{tuned.best:.4f}"
            progress.update(task, completed=len(tuned.trials))

        yield Watch(show_round, show_trial)


def _line(tuned: Tuned) -> str:
    tried = tuned.trials[-1]
    values = ", ".join(f"{name} {value:.4g}" for name, value in tried.values.items())
    ndcg = "-" if tried.ndcg is None else f"{tried.ndcg:.4f}"
    return f"trial {tried.number} {tried.outcome}, valid ndcg@20 {ndcg}, best {tuned.best:.4f}: {values}"
