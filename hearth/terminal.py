"""What people see: results on stdout, progress and errors on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH_OF_A_FILE = 120  # columns for tables where nobody's terminal says how many there are

# No markup: titles and paths may hold [brackets].
OUT = Console(markup=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
ERR = Console(markup=False, width=None if sys.stderr.isatty() else _WIDTH_OF_A_FILE, stderr=True)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, and nothing else there."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))  # noqa: T201 - what a program reads goes past Rich


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; the first column is text, never cut short, as it is what people copy; the others are figures."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        result.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in rows:
        result.add_row(*row)
    return result


def quality_table(title: str, qualities: Mapping[str, Mapping[str, float]]) -> Table:
    """Figures of several recommenders, a line each."""
    names = ("recall@20", "ndcg@20", "hr@10", "coverage@20")
    rows = ([who, *(f"{figures[name]:.4f}" for name in names)] for who, figures in qualities.items())
    return table(title, ("", *names), rows)


@contextmanager
def told_steps(console: Console) -> Iterator[Callable[[str], None]]:
    """What is being done now: one line that changes in place on a terminal, line after line elsewhere."""
    if not console.is_interactive:
        yield console.print
        return
    with console.status("") as status:
        yield status.update
