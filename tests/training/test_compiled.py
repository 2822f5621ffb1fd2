"""Compiled functions: kept for the next process, compiled anew where they cannot be, and free of Python's lock."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from training.compiled import inner

ROOT = Path(__file__).parents[2]
MODULE = """
from training.compiled import compiled, inner

@inner
def squared(number):
    return number * number

@compiled
def sum_of_squares(most):
    total = 0
    for number in range(most):
        total += squared(number)
    return total
"""
CALL = "import sums; print(sums.sum_of_squares(4), sum(sums.sum_of_squares.dispatcher.stats.cache_hits.values()))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(MODULE)
    return tmp_path


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CALL],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def test_processes_that_compile_at_the_same_time_agree_and_the_next_finds_what_they_kept(folder: Path) -> None:
    """The first figure is 0 + 1 + 4 + 9, the second how often the machine code was found and not made."""
    together = [start(folder, NUMBA_CACHE_DIR=str(folder / "kept")) for _ in range(3)]
    assert {printed(process).split()[0] for process in together} == {"14"}
    assert printed(start(folder, NUMBA_CACHE_DIR=str(folder / "kept"))) == "14 1"


def test_where_nothing_can_be_kept_a_function_is_compiled_all_the_same(folder: Path) -> None:
    """No folder can be made where a file is."""
    (folder / "__pycache__").write_text("")
    nowhere = str(folder / "__pycache__" / "folder")
    process = start(folder, PYTHONDONTWRITEBYTECODE="1", NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere)
    assert printed(process) == "14 0"


def test_a_package_folder_that_cannot_be_written_leaves_the_code_in_the_users_folder_for_caches(folder: Path) -> None:
    (folder / "__pycache__").write_text("")
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(folder / "caches")}
    assert printed(start(folder, **environment)) == "14 0"
    assert printed(start(folder, **environment)) == "14 1"


@pytest.mark.parametrize("content", [b"", b"\x80garbage\n", b"0.68.1"])
def test_what_is_kept_and_damaged_is_compiled_anew_and_stops_nobody(folder: Path, content: bytes) -> None:
    """As a power cut or a full disk leaves a file."""
    kept = folder / "kept"
    assert printed(start(folder, NUMBA_CACHE_DIR=str(kept))) == "14 0"
    indices = list(kept.rglob("*.nbi"))
    assert indices
    for index in indices:
        index.write_bytes(content)
    assert printed(start(folder, NUMBA_CACHE_DIR=str(kept))).split()[0] == "14"


def test_nan_and_infinity_stay_what_they_are() -> None:
    @inner
    def is_nan(number: float) -> bool:
        return number != number  # noqa: PLR0124 - what a compiler that knows of no NaN takes for False

    @inner
    def above_all(number: float) -> bool:
        return number == np.inf

    assert is_nan(np.float32(np.nan))
    assert not is_nan(np.float32(np.inf))
    assert above_all(np.float32(np.inf))


def test_other_threads_run_while_a_compiled_function_does() -> None:
    @inner
    def busy(steps: int) -> float:
        total = 0.5
        for _ in range(steps):
            total = np.sqrt(total + 1.0)
        return total

    busy(1)
    worker = threading.Thread(target=busy, args=(30_000_000,))
    worker.start()
    turns = 0
    while worker.is_alive():
        turns += 1
        time.sleep(0.005)
    assert turns > 5
