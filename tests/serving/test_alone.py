"""One process at a time, and what becomes of those that wait."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serving.alone import alone_in
from tests.serving.running import PATIENCE, ROOT


class Tired(Exception):
    """Somebody waits no longer."""


def test_the_second_comes_in_when_the_first_has_left(tmp_path: Path) -> None:
    waited, entered = threading.Event(), threading.Event()

    def second() -> None:
        with alone_in(tmp_path, waited.set):
            entered.set()

    with alone_in(tmp_path, lambda: None):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert waited.wait(PATIENCE)
        assert not entered.is_set()
    assert entered.wait(PATIENCE)
    waiting.join()


def test_who_waits_may_give_up_and_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    def give_up() -> None:
        raise Tired

    program = """
import sys, time
from pathlib import Path
from serving.alone import alone_in
with alone_in(Path(sys.argv[1]), lambda: None):
    print("in", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(Tired), alone_in(tmp_path, give_up):
            pass
        process.kill()
        process.wait()
        with alone_in(tmp_path, give_up):
            pass
