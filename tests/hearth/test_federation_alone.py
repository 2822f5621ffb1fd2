"""Two trainings exclude each other, as processes; what a killed one has left is taken over."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hearth.federation.alone import AlreadyTraining, Owner, alone, clean_up
from hearth.federation.certificates import ensure_authority
from hearth.federation.control import RunState
from hearth.federation.layout import Layout, Plan
from tests.hearth.command import ROOT, Command
from training.federation.errors import FederationError
from training.federation.one_run import only_run

HOLDER = """
import sys, time
from pathlib import Path
from hearth.federation.alone import alone
with alone(Path(sys.argv[1])) as turn:
    turn.began(17)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that has its turn until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def test_whoever_comes_second_is_told_who_was_first(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        said = rf"under way in .*: process {process.pid} on .*, started 20\d\d-"
        with pytest.raises(AlreadyTraining, match=said), alone(tmp_path):
            pass
        process.communicate(timeout=60)
    with alone(tmp_path) as turn:
        assert turn.crashed is None  # it came to its end, and left nothing


def test_the_command_run_ends_with_status_75_where_somebody_trains_and_asks_for_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "federation")
    layout.planned(Plan(cells=("cell-1", "cell-2", "cell-3")))
    ensure_authority(layout.authority, layout.authority_key)
    layout.status.write_text(json.dumps({"address": "127.0.0.1:1", "pid": 1, "processes": {}}))
    with held_elsewhere(layout.centre) as process:
        ended = Command(tmp_path).run("federation", "run", "--folder", layout.folder)
    said = f"error: another training is under way in {layout.centre}: process {process.pid} on"
    assert (ended.status, ended.stdout) == (75, "")
    assert said in ended.stderr
    assert not list(layout.centre.glob("request-*"))


def test_one_that_was_killed_leaves_its_turn_and_what_it_had_asked_for(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with alone(tmp_path) as turn:
        assert turn.crashed is not None
        assert (turn.crashed.pid, turn.crashed.run_id) == (process.pid, 17)
    with alone(tmp_path) as turn:
        assert turn.crashed is None


def test_one_that_failed_leaves_what_it_had_asked_for(tmp_path: Path) -> None:
    def failing() -> None:
        with alone(tmp_path) as turn:
            turn.began(18)
            raise FederationError("the SuperLink does not answer")

    with pytest.raises(FederationError):
        failing()
    with alone(tmp_path) as turn:
        assert turn.crashed is not None
        assert turn.crashed.run_id == 18


def test_a_note_that_cannot_be_read_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "retraining.json").write_text("{half")
    with alone(tmp_path) as turn:
        assert turn.crashed is None


class Link:
    """A SuperLink in memory with one run, which ends when it is asked how it stands so often after it was stopped."""

    def __init__(self, asks: int, status: str = "running") -> None:
        self._asks, self._status, self.stopped = asks, status, 0

    def state(self, run_id: int) -> RunState:
        if run_id != 17:
            raise FederationError(f"the SuperLink knows no run {run_id}")
        if self.stopped:
            self._asks -= 1
        return RunState("finished" if self._status == "finished" or self._asks < 0 else "running", "", "")

    def stop(self, run_id: int) -> None:
        assert run_id == 17
        self.stopped += 1


def crashed(run_id: int | None) -> Owner:
    return Owner.model_validate({"pid": 1, "host": "h", "started": "2026-02-03T04:05:06Z", "run_id": run_id})


def test_the_run_of_a_crashed_one_is_stopped_and_waited_for(tmp_path: Path) -> None:
    link = Link(asks=1)
    clean_up(link, crashed(17), tmp_path)
    assert link.stopped == 1
    done = Link(asks=0, status="finished")
    clean_up(done, crashed(17), tmp_path)
    assert done.stopped == 0


def test_one_that_had_asked_for_nothing_or_for_what_is_not_known_any_more_is_passed_over(tmp_path: Path) -> None:
    link = Link(asks=1)
    clean_up(link, crashed(None), tmp_path)
    clean_up(link, crashed(18), tmp_path)
    assert link.stopped == 0


def test_a_stopped_run_that_does_not_let_go_of_the_cells_is_an_error(tmp_path: Path) -> None:
    with only_run(tmp_path), pytest.raises(FederationError, match=r"run 17 was stopped .* trains still"):
        clean_up(Link(asks=0), crashed(17), tmp_path, seconds=0.2)
