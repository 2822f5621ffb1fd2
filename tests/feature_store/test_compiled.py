"""Compiled functions: kept for the next process, compiled anew where they cannot be, and free of Python's lock."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from feature_store.compiled import inner

ROOT = Path(__file__).parents[2]
MODULE = """
from feature_store.compiled import compiled, inner

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


def start(folder: Path, call: str = CALL, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", call],
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


FOR = """
import numpy as np
from feature_store.compiled import compiled_for, inner, read, written

@inner
def squared(number):
    return number * number

@compiled_for(read(np.float32, 2), written(np.float32), np.int64)
def squares(numbers, result, most):
    for row in range(most):
        result[row] = squared(numbers[row, 0])
"""
CALL_FOR = """
import numpy as np, squares
numbers, result = np.full((3, 2), 3, np.float32), np.zeros(3, np.float32)
squares.squares(numbers, result, 2)
numbers.flags.writeable = False
squares.squares(numbers, result, 3)
try:
    squares.squares(numbers[:, 1:], result, 2)
except TypeError as error:
    print(int(result.sum()), sum(squares.squares.stats.cache_hits.values()), "No matching definition" in str(error))
"""


def test_what_is_compiled_for_some_types_takes_no_others_and_is_there_before_it_is_called(tmp_path: Path) -> None:
    """A map of a file cannot be written to and is taken all the same; of an array's columns a part is not."""
    (tmp_path / "squares.py").write_text(FOR)
    kept = str(tmp_path / "kept")
    assert printed(start(tmp_path, CALL_FOR, NUMBA_CACHE_DIR=kept)) == "27 0 True"
    assert printed(start(tmp_path, CALL_FOR, NUMBA_CACHE_DIR=kept)) == "27 1 True"
    for index in (tmp_path / "kept").rglob("*.nbi"):
        index.write_bytes(b"garbage")
    assert printed(start(tmp_path, CALL_FOR, NUMBA_CACHE_DIR=kept)) == "27 0 True"
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    (tmp_path / "__pycache__").write_text("")
    nowhere = str(tmp_path / "__pycache__" / "folder")
    started = start(tmp_path, CALL_FOR, PYTHONDONTWRITEBYTECODE="1", NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere)
    assert printed(started) == "27 0 True"


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
