"""The rounds of a training, as people watch them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from hearth.terminal import table
from training.loop import RoundReport

_SHOWN_ROUNDS = 12
_COLUMNS = ("round", "cohort", "loss", "valid ndcg@20", "clients/s", "KB up/client")


@contextmanager
def round_display(rounds: int, console: Console) -> Iterator[Callable[[RoundReport], None]]:
    """What to tell of each round: a table that grows in place on a terminal, a line a round elsewhere."""
    if not console.is_interactive:
        yield lambda report: console.print(_line(report), soft_wrap=True, highlight=False)
        return
    shown: list[tuple[str, ...]] = []
    with Live(console=console, refresh_per_second=8) as live:

        def show(report: RoundReport) -> None:
            shown.append(_figures(report))
            live.update(table(f"Federated training, at most {rounds} rounds", _COLUMNS, shown[-_SHOWN_ROUNDS:]))

        yield show


def _line(report: RoundReport) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(_COLUMNS, _figures(report), strict=True))


def _figures(report: RoundReport) -> tuple[str, ...]:
    return (
        str(report.round_number),
        str(report.cohort),
        f"{report.loss:.3f}",
        "-" if report.validation is None else f"{report.validation:.4f}",
        f"{report.clients_per_second:,.0f}",
        f"{report.uplink_bytes_per_client / 1000:,.0f}",
    )
