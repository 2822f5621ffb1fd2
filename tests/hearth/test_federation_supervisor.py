"""The supervisor, over processes that are cheap to start: what is killed comes back, and nothing is left behind."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feature_store.errors import BadInput
from hearth.federation.child import MARK, ChildSpec, processes_of, start
from hearth.federation.layout import Layout, Plan
from hearth.federation.supervisor import Supervisor
from hearth.federation.up import alone, is_held, take_down
from training.federation.errors import FederationError

PATIENCE = 30.0
SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")
STARTS_ANOTHER = (
    sys.executable,
    "-c",
    (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "time.sleep(600)"
    ),
)
IGNORES_SIGTERM = (
    sys.executable,
    "-c",
    (
        "import signal, time, pathlib, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    ),
)


@contextmanager
def supervised(folder: Path, *specs: ChildSpec, restarts: int = 5) -> Iterator[Callable[[], dict[str, Any]]]:
    """The specs under a supervisor in a thread of its own; gives what reads the status."""
    (folder / "logs").mkdir()
    stop = threading.Event()
    environment = {**os.environ, MARK: str(folder)}
    supervisor = Supervisor(folder / "logs", environment, folder / "status.json", {"who": "test"}, restarts, 0.05, 1.0)
    for spec in specs:
        supervisor.start(spec)
    watching = threading.Thread(target=supervisor.watch, args=(stop,))
    watching.start()
    try:
        yield lambda: json.loads((folder / "status.json").read_bytes())
    finally:
        stop.set()
        watching.join()
        supervisor.end()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_child_that_is_killed_comes_back_and_the_others_are_left_alone(tmp_path: Path) -> None:
    specs = ChildSpec("one", SLEEPS), ChildSpec("other", SLEEPS)
    with supervised(tmp_path, *specs) as status:
        before = status()["processes"]
        os.kill(before["one"]["pid"], signal.SIGKILL)
        until(lambda: status()["processes"]["one"]["restarts"] == 1)
        after = status()["processes"]
        assert after["one"]["state"] == "running"
        assert after["one"]["pid"] != before["one"]["pid"]
        assert after["other"] == before["other"]
        assert after["one"]["pid"] in processes_of(tmp_path)


def test_a_child_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    with supervised(tmp_path, ChildSpec("ends", (sys.executable, "-c", "print('again')")), restarts=2) as status:
        until(lambda: status()["processes"]["ends"]["state"] == "given up")
        assert status()["processes"]["ends"]["restarts"] == 2
        assert (tmp_path / "logs" / "ends.log").read_text() == "again\n" * 3


def test_what_a_child_has_started_ends_with_it(tmp_path: Path) -> None:
    with supervised(tmp_path, ChildSpec("parent", STARTS_ANOTHER)) as status:
        until(lambda: len(processes_of(tmp_path)) == 2)
        first = processes_of(tmp_path)
        os.kill(status()["processes"]["parent"]["pid"], signal.SIGKILL)
        until(lambda: len(processes_of(tmp_path)) == 2 and not set(first) & set(processes_of(tmp_path)))


def test_nothing_is_left_when_it_ends_not_even_what_ignores_being_asked(tmp_path: Path) -> None:
    started = tmp_path / "started"
    stubborn = ChildSpec("cell-stubborn", (*IGNORES_SIGTERM, str(started)))
    with supervised(tmp_path, ChildSpec("parent", STARTS_ANOTHER), stubborn):
        until(lambda: len(processes_of(tmp_path)) == 3 and started.exists())
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "status.json").exists()


def test_readiness_is_waited_for_and_who_is_not_ready_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    supervisor = Supervisor(tmp_path / "logs", {**os.environ, MARK: str(tmp_path)}, tmp_path / "status.json", {})
    ready = threading.Event()
    supervisor.start(ChildSpec("late", SLEEPS, is_ready=ready.is_set))
    supervisor.start(ChildSpec("never", SLEEPS, is_ready=lambda: False))
    try:
        assert supervisor.wait_until_ready(["late"], 0.1, threading.Event()) == ["late"]
        ready.set()
        assert supervisor.wait_until_ready(["late", "never"], 0.1, threading.Event()) == ["never"]
        assert supervisor.wait_until_ready(["late"], 0.1, threading.Event()) == []
    finally:
        supervisor.end()


ENDS = (sys.executable, "-c", "import sys; print('what', flush=True); print('is wrong'); sys.exit(3)")


def waiting(folder: Path, *specs: ChildSpec) -> Supervisor:
    """A supervisor that has started these."""
    (folder / "logs").mkdir()
    environment = {**os.environ, MARK: str(folder)}
    supervisor = Supervisor(folder / "logs", environment, folder / "status.json", {}, pause_seconds=0.05)
    for spec in specs:
        supervisor.start(spec)
    return supervisor


def test_one_that_ends_again_and_again_is_waited_for_no_longer_and_its_last_words_are_told(tmp_path: Path) -> None:
    never = ChildSpec("never", SLEEPS, is_ready=lambda: False)
    supervisor = waiting(tmp_path, never, ChildSpec("ends", ENDS, most_ends=2))
    (tmp_path / "logs" / "never.log").write_text("of another")
    log = tmp_path / "logs" / "ends.log"
    said = f"ends ended 2 times in a row, the last time with status 3. The end of {log}:\n" + "what\nis wrong\n" * 2
    try:
        with pytest.raises(FederationError) as raised:
            supervisor.wait_until_ready(["never"], PATIENCE, threading.Event())
        assert str(raised.value) == said.rstrip()
    finally:
        supervisor.end()


def test_one_that_ended_less_often_than_it_may_is_waited_for(tmp_path: Path) -> None:
    counting = "import pathlib, sys, time; runs = pathlib.Path(sys.argv[1]); runs.open('a').write('.');"
    counting += "sys.exit(1) if len(runs.read_text()) < 3 else time.sleep(600)"
    runs = tmp_path / "runs"
    arguments = (sys.executable, "-c", counting, str(runs))
    spec = ChildSpec("third", arguments, is_ready=lambda: runs.exists() and len(runs.read_text()) == 3)
    supervisor = waiting(tmp_path, spec)
    try:
        assert supervisor.wait_until_ready(["third"], PATIENCE, threading.Event()) == []
    finally:
        supervisor.end()


def test_of_a_long_log_the_last_ten_lines_are_told_whatever_bytes_are_in_it(tmp_path: Path) -> None:
    program = "import sys; sys.stdout.buffer.write(b''.join(b'%d \\xff' % n + b'x' * 100 + b'\\n' for n in range(500)))"
    spec = ChildSpec("ends", (sys.executable, "-c", program), is_ready=lambda: False, most_ends=1)
    supervisor = waiting(tmp_path, spec)
    try:
        with pytest.raises(FederationError) as raised:
            supervisor.wait_until_ready(["ends"], PATIENCE, threading.Event())
    finally:
        supervisor.end()
    _, *lines = str(raised.value).splitlines()
    assert lines == [f"{number} \N{REPLACEMENT CHARACTER}{'x' * 100}" for number in range(490, 500)]


def test_down_ends_what_a_killed_supervisor_has_left_and_says_how_much(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.planned(Plan(cells=("cell-1",)))
    log = tmp_path / "log"
    left = start(ChildSpec("parent", STARTS_ANOTHER), log, {**os.environ, MARK: str(tmp_path)})
    other = start(ChildSpec("other", SLEEPS), log, {**os.environ, MARK: f"{tmp_path}-of-another"})
    try:
        until(lambda: len(processes_of(tmp_path)) == 2)
        assert take_down(layout) == 2
        assert left.wait(PATIENCE) == -signal.SIGKILL
        until(lambda: processes_of(tmp_path) == [])
        assert other.poll() is None
        assert take_down(layout) == 0
    finally:
        other.kill()
        other.wait()


def test_two_supervisors_of_one_federation_exclude_each_other(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert not is_held(layout)
    with alone(layout):
        assert is_held(layout)
        with pytest.raises(BadInput, match="runs already; `hearth federation down` ends it"), alone(layout):
            pass
    assert not is_held(layout)
