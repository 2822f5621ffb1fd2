"""Files that are there whole or not at all."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_store.durable import create, exclusive, exclusive_file, remove_drafts, replace, write_synced


def test_a_written_file_holds_the_bytes_and_has_the_mode(tmp_path: Path) -> None:
    write_synced(tmp_path / "file", b"content", mode=0o600)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_who_waited_while_a_file_was_replaced_holds_the_one_that_is_there_now(tmp_path: Path) -> None:
    path, asked = tmp_path / "file", threading.Event()
    path.write_bytes(b"old")
    held: list[bool] = []

    def wait() -> None:
        asked.set()
        with exclusive_file(path) as found:
            held.append(os.path.samestat(found, path.stat()))

    with exclusive_file(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        asked.wait()
        time.sleep(0.2)  # it has opened the old file by then, or finds the new one at once
        replace(path, b"new")
        assert held == []
    waiter.join()
    assert held == [True]


@pytest.mark.parametrize("write", [create, replace])
def test_what_cannot_be_written_is_named_as_it_was_asked_for(
    tmp_path: Path, write: Callable[[Path, bytes], None]
) -> None:
    """And not by the draft, of which nobody knows."""
    with pytest.raises(OSError, match="No such file") as error:
        write(tmp_path / "none" / "file", b"content")
    assert error.value.filename == str(tmp_path / "none" / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as error:
        write(tmp_path / "folder", b"content")
    assert str(error.value).endswith(f": '{tmp_path / 'folder'}'")
    (tmp_path / "folder" / "file").touch()
    with pytest.raises(NotADirectoryError) as error:
        write(tmp_path / "folder" / "file" / "deeper", b"content")
    assert error.value.filename == str(tmp_path / "folder" / "file" / "deeper")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_writing_and_creating_never_overwrite(tmp_path: Path) -> None:
    for write in (write_synced, create):
        path = tmp_path / write.__name__
        write(path, b"first")
        with pytest.raises(FileExistsError):
            write(path, b"second")
        assert path.read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 2


def test_replacing_puts_the_new_in_the_place_of_the_old(tmp_path: Path) -> None:
    for content in (b"first", b"second, longer", b""):
        replace(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_replacement_that_fails_leaves_the_old_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        replace(tmp_path / "taken", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_reader_sees_the_old_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([letter]) * 200_000 for letter in b"ab"]
    replace(path, contents[0])

    def write() -> None:
        for turn in range(40):
            replace(path, contents[turn % 2])

    writing = threading.Thread(target=write)
    writing.start()
    while writing.is_alive():
        assert path.read_bytes() in contents
    writing.join()


def test_removing_drafts_takes_those_of_that_file_alone(tmp_path: Path) -> None:
    kept = ["[stages].json", ".other.json.0a1b", ".s.json.0a1b", "stages.json.0a1b"]
    for name in [*kept, ".[stages].json.0a1b", ".[stages].json.ffff"]:
        (tmp_path / name).touch()
    remove_drafts(tmp_path / "[stages].json")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with exclusive(tmp_path / "lock"):
            entered.set()

    waiting = threading.Thread(target=enter)
    with exclusive(tmp_path / "lock"):
        waiting.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    waiting.join()


def test_a_lock_is_let_go_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(LookupError), exclusive(tmp_path / "lock"):
        raise LookupError
    with exclusive(tmp_path / "lock"):
        pass


def test_a_lock_that_another_holds_is_not_waited_for_where_that_is_asked(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock"), pytest.raises(BlockingIOError), exclusive(tmp_path / "lock", wait=False):
        pass
    with exclusive(tmp_path / "lock", wait=False):
        pass


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    """A limit on the size of files is a disk that is full after so many bytes."""
    script = (
        "import resource, signal, sys, pathlib\n"
        "from feature_store.durable import write_synced\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_synced(pathlib.Path(sys.argv[1]), b'x' * 2000)\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "large"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"{tmp_path / 'large'}\n"
