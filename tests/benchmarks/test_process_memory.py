"""The memory of a process and of those that it starts."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.process_memory import run_watched, tree_megabytes

HOLD = "held = bytearray(range(256)) * 400_000; import time; time.sleep(1.5)"  # 102 MB

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="the memory of a process stands in /proc")


def test_the_memory_of_a_child_of_the_child_counts() -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}]); print('done')"
    printed, peak = run_watched([sys.executable, "-c", parent], os.environ, limit=60)
    assert printed == "done\n"
    assert 102 < peak < 250


def test_a_process_that_fails_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_watched([sys.executable, "-c", "raise SystemExit('no such round')"], os.environ, limit=60)
    assert "no such round" in capsys.readouterr().err


def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    number = tmp_path / "child"
    child = f"import os, pathlib, time; pathlib.Path({str(number)!r}).write_text(str(os.getpid())); time.sleep(300)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(subprocess.TimeoutExpired):
        run_watched([sys.executable, "-c", parent], os.environ, limit=5)
    stat = Path(f"/proc/{number.read_text()}/stat")
    until = time.monotonic() + 20
    while stat.exists() and " Z " not in stat.read_text():  # gone, or waiting to be taken notice of
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.1)


def test_a_process_that_is_gone_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(timeout=60)
    assert tree_megabytes(gone.pid) == 0
