"""The ledger: it only grows, keeps to the budget, and has paid before anything is seen."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from feature_store.errors import BadInput
from training.privacy.accountant import cost_of
from training.privacy.ledger import Budget, BudgetSpent, Entry, FileLedger, Ledger, MemoryLedger, cost_so_far

BUDGET = Budget(epsilon=2, delta=1e-5)
WHOLE = cost_of(2, 1e-5)
PROCESS = Path(__file__).parent / "spending.py"


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else FileLedger(tmp_path / "privacy" / "ledger.jsonl")


def test_shares_of_a_budget_can_all_be_spent_and_nothing_beyond(ledger: Ledger) -> None:
    assert ledger.entries() == ()
    spent = [Entry(released=f"sum {number}", cost=WHOLE * share) for number, share in enumerate((0.1, 0.6, 0.3))]
    for entry in spent:
        ledger.spend(entry, BUDGET)
    with pytest.raises(BudgetSpent, match=r"counts would bring .* from ε = 2 to 2.* and the budget is 2"):
        ledger.spend(Entry(released="counts", cost=WHOLE * 1e-3), BUDGET)
    assert list(ledger.entries()) == spent


@pytest.mark.parametrize("parts", range(2, 30))
def test_rounding_takes_no_part_of_a_budget_away(parts: int) -> None:
    ledger = MemoryLedger()
    for _ in range(parts):
        ledger.spend(Entry(released="sum", cost=WHOLE / parts), BUDGET)
    with pytest.raises(BudgetSpent):
        ledger.spend(Entry(released="sum", cost=WHOLE * 1e-6), BUDGET)


def test_a_larger_budget_makes_room_and_what_was_spent_stays(ledger: Ledger) -> None:
    ledger.spend(Entry(released="counts", cost=WHOLE), BUDGET)
    ledger.spend(Entry(released="counts", cost=WHOLE), Budget(epsilon=3, delta=1e-5))
    assert cost_so_far(ledger.entries()) == pytest.approx(2 * WHOLE)


def test_another_process_finds_what_was_spent(tmp_path: Path) -> None:
    FileLedger(tmp_path / "ledger").spend(Entry(released="counts", cost=WHOLE), BUDGET)
    with pytest.raises(BudgetSpent):
        FileLedger(tmp_path / "ledger").spend(Entry(released="counts", cost=WHOLE / 10), BUDGET)


def test_two_at_once_do_not_spend_the_same_twice(tmp_path: Path) -> None:
    def spend(_: int) -> None:
        with suppress(BudgetSpent):
            FileLedger(tmp_path / "ledger").spend(Entry(released="counts", cost=WHOLE / 8), BUDGET)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(spend, range(12)))
    assert len(FileLedger(tmp_path / "ledger").entries()) == 8


@pytest.mark.parametrize("line", [b"{", b'{"released": "counts"}', b"\n", b'{"released": "x", "cost": -1}'])
def test_a_damaged_ledger_is_not_taken_for_a_shorter_one(tmp_path: Path, line: bytes) -> None:
    ledger = FileLedger(tmp_path / "ledger")
    ledger.spend(Entry(released="counts", cost=WHOLE / 10), BUDGET)
    ledger.path.write_bytes(ledger.path.read_bytes() + line + b"\n")
    before = ledger.path.read_bytes()
    with pytest.raises(BadInput, match="line 2, is no entry"):
        ledger.spend(Entry(released="counts", cost=WHOLE / 10), BUDGET)
    assert ledger.path.read_bytes() == before


def spent(tmp_path: Path, count: int = 3) -> FileLedger:
    ledger = FileLedger(tmp_path / "ledger")
    for number in range(count):
        ledger.spend(Entry(released=f"sum {number}", cost=WHOLE / 10), BUDGET)
    return ledger


@pytest.mark.parametrize("lines", [0, 1, 2])
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_ledger_that_was_cut_at_a_lines_end_or_within_one_is_refused(tmp_path: Path, lines: int, cut: int) -> None:
    ledger = spent(tmp_path)
    whole = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(whole[:lines]) + whole[lines][: -cut if cut else 0])
    before = ledger.path.read_bytes()
    for use in (ledger.entries, lambda: ledger.spend(Entry(released="sum", cost=1e-6), BUDGET)):
        with pytest.raises(BadInput, match=r"ledger is cut off|has \d entries and does not begin with the 3"):
            use()
    assert ledger.path.read_bytes() == before


def test_an_empty_ledger_is_refused_though_it_has_no_head(tmp_path: Path) -> None:
    (tmp_path / "ledger").touch()
    with pytest.raises(BadInput, match="ledger is cut off"):
        FileLedger(tmp_path / "ledger").entries()


def test_a_ledger_that_is_gone_is_no_empty_one(tmp_path: Path) -> None:
    ledger = spent(tmp_path)
    ledger.path.unlink()
    with pytest.raises(BadInput, match=r"ledger is gone, and .*ledger\.head says that it had 3 entries"):
        ledger.spend(Entry(released="sum", cost=1e-6), BUDGET)


def test_a_ledger_whose_lines_were_changed_or_moved_is_refused(tmp_path: Path) -> None:
    ledger = spent(tmp_path)
    first, second, third = ledger.path.read_bytes().splitlines(keepends=True)
    for lines in ([second, first, third], [first, first, third], [first.replace(b"0", b"1", 1), second, third]):
        ledger.path.write_bytes(b"".join(lines))
        with pytest.raises(BadInput, match="does not begin with the 3"):
            ledger.entries()
    ledger.path.write_bytes(first + second + third)
    assert len(ledger.entries()) == 3


@pytest.mark.parametrize("head", [b"", b"{", b'{"entries": 0, "sha256": ""}', b"[]"])
def test_a_damaged_head_is_refused(tmp_path: Path, head: bytes) -> None:
    ledger = spent(tmp_path)
    (tmp_path / "ledger.head").write_bytes(head)
    with pytest.raises(BadInput, match=r"ledger\.head is no head of a privacy ledger"):
        ledger.entries()


def test_whoever_died_between_ledger_and_head_has_paid_and_the_next_one_goes_on(tmp_path: Path) -> None:
    ledger = spent(tmp_path)
    head = (tmp_path / "ledger.head").read_bytes()
    ledger.spend(Entry(released="sum 3", cost=WHOLE / 10), BUDGET)
    (tmp_path / "ledger.head").write_bytes(head)
    assert [entry.released for entry in ledger.entries()] == [f"sum {number}" for number in range(4)]
    ledger.spend(Entry(released="sum 4", cost=WHOLE / 10), BUDGET)
    whole = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(whole[:4]))
    with pytest.raises(BadInput, match="has 4 entries and does not begin with the 5"):
        ledger.entries()


def test_a_ledger_of_before_there_were_heads_is_read_and_gets_one(tmp_path: Path) -> None:
    ledger = spent(tmp_path)
    (tmp_path / "ledger.head").unlink()
    assert len(ledger.entries()) == 3
    ledger.spend(Entry(released="sum 3", cost=WHOLE / 10), BUDGET)
    whole = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(whole[:3]))
    with pytest.raises(BadInput, match="does not begin with the 4"):
        ledger.entries()


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(PROCESS), *arguments], stdout=subprocess.PIPE, text=True, env=_path())


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}


def test_whoever_is_killed_drawing_noise_has_paid(tmp_path: Path) -> None:
    with run("die_drawing", str(tmp_path / "ledger")) as process:
        assert process.wait() == -signal.SIGKILL
    (entry,) = FileLedger(tmp_path / "ledger").entries()
    assert (entry.released, entry.cost) == ("item_sums", 0.25)


@pytest.mark.parametrize("milliseconds", [3, 17])
def test_a_ledger_whose_writer_is_killed_has_every_entry_that_was_made(tmp_path: Path, milliseconds: int) -> None:
    with run("spend_on", str(tmp_path / "ledger")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "spent\n"
        time.sleep(milliseconds / 1000)
        process.kill()
        said = 1 + process.stdout.read().count("spent\n")
    assert said <= len(FileLedger(tmp_path / "ledger").entries()) <= said + 1
    FileLedger(tmp_path / "ledger").spend(Entry(released="counts", cost=1e-6), BUDGET)
