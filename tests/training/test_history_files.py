"""Histories that lie on disk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.histories import Chosen, Histories, stored
from training.history_files import open_histories, write_histories

CLIENTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), max_size=9)


def write(folder: Path, pieces: list[list[list[int]]]) -> None:
    with write_histories(folder) as writer:
        for piece in pieces:
            histories = Histories.of(piece)
            writer.append(histories.rows, histories.lengths)


@given(st.lists(CLIENTS, max_size=3))
def test_what_was_written_in_pieces_is_read_as_one_population(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("population") / "histories"
    write(folder, pieces)
    assert [rows.tolist() for rows in open_histories(folder)] == [client for piece in pieces for client in piece]


@given(CLIENTS.filter(bool), st.data())
def test_reading_some_clients_gives_their_rows_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, clients: list[list[int]], data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(clients) - 1)))
    expected = [row for number in numbers for row in clients[number]]
    folder = tmp_path_factory.mktemp("population")
    write(folder, [clients])
    for histories in (Histories.of(clients), open_histories(folder)):
        read = histories.read(np.array(numbers, np.int64))
        assert (read.tolist(), type(read), read.dtype) == (expected, np.ndarray, np.int32)


def test_what_is_read_stays_when_the_file_is_gone(tmp_path: Path) -> None:
    """A copy, and no view of a map: the pages of a map would stay in memory as long as anybody holds a row."""
    write(tmp_path, [[[5, 6], [7]]])
    read = open_histories(tmp_path).read(np.array([0, 1]))
    assert read.flags.owndata
    assert read.tolist() == [5, 6, 7]


def test_chosen_clients_are_looked_up_in_the_population_they_come_from() -> None:
    population = Histories.of([[3, 1], [], [2]])
    chosen = Chosen(population, np.array([2, 0]))
    found, clients = stored(chosen)
    assert found is population
    assert clients.tolist() == [2, 0]
    assert [rows.tolist() for rows in chosen] == [chosen[0].tolist(), chosen[1].tolist()] == [[2], [3, 1]]


def test_lengths_that_do_not_fit_the_rows_are_refused(tmp_path: Path) -> None:
    with write_histories(tmp_path) as writer, pytest.raises(BadInput, match="add up to 3 do not cut 2 rows"):
        writer.append(np.array([1, 2], np.int32), np.array([3], np.int64))


def test_a_folder_without_histories_and_one_that_was_cut_short_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"rows\.i4 and lengths\.i4 missing"):
        open_histories(tmp_path)
    write(tmp_path, [[[1, 2], [3]]])
    (tmp_path / "rows.i4").write_bytes(b"\0" * 8)
    with pytest.raises(BadInput, match=r"has 8 bytes .* tells of 3 rows"):
        open_histories(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process holds of files stands in /proc")
def test_pages_that_were_read_do_not_stay_in_memory(tmp_path: Path) -> None:
    clients, length = 200, 80_000  # 64 MB
    with write_histories(tmp_path) as writer:
        for _ in range(clients):
            writer.append(np.zeros(length, np.int32), np.array([length]))
    histories = open_histories(tmp_path)
    before = _megabytes_of_files()
    read = sum(len(histories.read(np.array([client]))) for client in range(clients))
    assert read == clients * length
    assert _megabytes_of_files() < before + 16


def _megabytes_of_files() -> float:
    """What this process holds in memory of the files that it has mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile:")) / 1e3
