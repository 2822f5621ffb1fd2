"""The rounds of a training, as people watch them."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hearth.terminal import table
from training.loop import RoundReport

_SHOWN_ROUNDS = 12


class RoundDisplay:
    """The rounds of a training as a table that grows while they are run."""

    def __init__(self, rounds: int, live: Live) -> None:
        self._rounds, self._live = rounds, live
        self._reports: list[RoundReport] = []

    def show(self, report: RoundReport) -> None:
        """Add a round."""
        self._reports.append(report)
        self._live.update(self._table())

    def _table(self) -> Table:
        columns = ("round", "cohort", "loss", "valid ndcg@20", "clients/s", "KB up/client")
        shown = self._reports[-_SHOWN_ROUNDS:]
        return table(f"Federated training, at most {self._rounds} rounds", columns, map(self._row, shown))

    @staticmethod
    def _row(report: RoundReport) -> tuple[str, ...]:
        return (
            str(report.round_number),
            str(report.cohort),
            f"{report.loss:.3f}",
            "-" if report.validation is None else f"{report.validation:.4f}",
            f"{report.clients_per_second:,.0f}",
            f"{report.uplink_bytes_per_client / 1000:,.0f}",
        )


@contextmanager
def round_display(rounds: int, console: Console) -> Iterator[RoundDisplay]:
    """A display that grows in place on a terminal, and prints its last state elsewhere."""
    with Live(console=console, refresh_per_second=8) as live:
        yield RoundDisplay(rounds, live)
    console.print()
