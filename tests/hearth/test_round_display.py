"""What people see of the rounds."""

import io

from rich.console import Console

from hearth.round_display import round_display
from training.loop import RoundReport


def shown(console: Console, rounds: int) -> None:
    with round_display(rounds, console) as show:
        for number in range(1, rounds + 1):
            show(RoundReport(number, 20, 1.5, 0.25, 0.01, 4_000, converged=False))


def test_where_there_is_no_terminal_each_round_is_a_line() -> None:
    text = io.StringIO()
    shown(Console(file=text, width=40), rounds=30)
    lines = text.getvalue().splitlines()
    assert len(lines) == 30
    assert lines[6] == "round 7, cohort 20, loss 1.500, valid ndcg@20 0.2500, clients/s 2,000, KB up/client 4"


def test_on_a_terminal_the_latest_rounds_stand_in_a_table() -> None:
    text = io.StringIO()
    shown(Console(file=text, width=100, force_terminal=True, _environ={"TERM": "xterm"}), rounds=30)
    last = text.getvalue()[text.getvalue().rindex("at most 30 rounds") :]
    assert [number for number in range(1, 31) if f"│ {number} " in last] == list(range(19, 31))
