"""Splits: by time, last one out, and ready-made ones in a folder."""

import dataclasses
import gzip
import hashlib
import math
import os
import struct
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput, MalformedLine
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.interactions import Interactions
from training.split import Split, digest, leave_one_out, split_by_time
from training.split_folder import read_split_folder

Line = tuple[int, int, float]  # user, item, timestamp
USERS, ITEMS = 4, 30


def interactions_of(lines: list[Line], users: int = USERS, items: int = ITEMS) -> Interactions:
    user, item, time = zip(*lines, strict=True) if lines else ((), (), ())
    return Interactions(
        vocabulary=ItemVocabulary(f"i{n}" for n in range(items)),
        user_ids=tuple(f"u{n}" for n in range(users)),
        event_names=("view",),
        users=np.array(user, dtype=np.int32),
        items=np.array(item, dtype=np.int32),
        events=np.zeros(len(lines), dtype=np.int32),
        timestamps=np.array(time, dtype=np.float64),
        values=np.full(len(lines), np.nan, dtype=np.float32),
    )


def parts_of(split: Split) -> list[tuple[list[int], list[int], list[int]]]:
    """Train, valid and test items of each person."""
    return [
        (split.train[u].tolist(), split.valid[u].tolist(), split.test[u].tolist()) for u in range(len(split.user_ids))
    ]


def met_by_time(lines: list[Line]) -> list[list[int]]:
    """The slow, clear way: sort each person's lines by time, then go through them and keep what is new."""
    met: dict[int, list[int]] = defaultdict(list)
    for user, item, _ in sorted(lines, key=lambda line: line[2]):
        if item not in met[user]:
            met[user].append(item)
    return [met[user] for user in range(USERS)]


some_lines = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(0, 9).map(float)),
    min_size=1,
    max_size=120,
)


@given(lines=some_lines, valid=st.integers(0, 49), test=st.integers(0, 50))
def test_the_latest_items_are_test_and_those_before_them_valid(lines: list[Line], valid: int, test: int) -> None:
    split = split_by_time(interactions_of(lines), valid / 100, test / 100)
    expected = []
    for met in met_by_time(lines):
        in_test = math.floor(Fraction(test, 100) * len(met))
        in_valid = math.floor(Fraction(valid, 100) * len(met))
        in_train = len(met) - in_test - in_valid
        expected.append((met[:in_train], met[in_train : in_train + in_valid], met[in_train + in_valid :]))
        assert in_train or not met
    assert parts_of(split) == expected
    assert split.repeats == len(lines) - sum(map(len, met_by_time(lines)))
    assert split.only_trained == sum(not valid and not test for _, valid, test in expected)


def test_shares_that_binary_fractions_miss_are_met() -> None:
    split = split_by_time(interactions_of([(0, item, item) for item in range(100)], 1, 100), valid=0.29, test=0.57)
    assert [part.lengths.tolist() for part in (split.train, split.valid, split.test)] == [[14], [29], [57]]


@given(lines=some_lines)
def test_the_last_item_is_left_out_and_the_one_before_it_tunes(lines: list[Line]) -> None:
    split = leave_one_out(interactions_of(lines))
    assert parts_of(split) == [
        (met[:-2], met[-2:-1], met[-1:]) if len(met) >= 3 else (met, [], []) for met in met_by_time(lines)
    ]


def test_of_equal_times_the_first_line_of_the_file_came_first() -> None:
    split = leave_one_out(interactions_of([(0, 5, 1.0), (0, 3, 1.0), (0, 4, 1.0), (0, 5, 1.0)]))
    assert parts_of(split)[0] == ([5], [3], [4])
    assert split.repeats == 1


@pytest.mark.parametrize("cut", [split_by_time, leave_one_out])
def test_interactions_without_times_are_refused(cut: Callable[[Interactions], Split]) -> None:
    with pytest.raises(BadInput, match="2 of these 3 have none"):
        cut(interactions_of([(0, 0, math.nan), (0, 1, 1.0), (1, 1, math.nan)]))
    with pytest.raises(BadInput, match="no interactions to split"):
        cut(interactions_of([]))


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0), (math.nan, 0.2)])
def test_shares_that_leave_nothing_to_train_on_are_refused(valid: float, test: float) -> None:
    with pytest.raises(BadInput, match="together below 1"):
        split_by_time(interactions_of([(0, 0, 1.0)]), valid, test)


def test_a_split_whose_parts_have_other_people_is_refused() -> None:
    one, two = Histories.of([[0]]), Histories.of([[0], []])
    with pytest.raises(BadInput, match="the test part of a split of 1 people has 2 clients"):
        Split(ItemVocabulary(["a"]), ("u",), one, Histories.of([[]]), two)


def small_split() -> Split:
    return Split(
        ItemVocabulary(["a", "b", "c"]),
        ("u", "v"),
        Histories.of([[0], [1]]),
        Histories.of([[1], []]),
        Histories.of([[2], [0]]),
    )


def test_the_digest_is_over_these_bytes_on_every_machine() -> None:
    content = b'[["a", "b", "c"], ["u", "v"]]'
    content += struct.pack("<3q2i", 0, 1, 2, 0, 1)  # train: offsets, rows
    content += struct.pack("<3q1i", 0, 1, 1, 1)
    content += struct.pack("<3q2i", 0, 1, 2, 2, 0)
    assert digest(small_split()) == hashlib.sha256(content).hexdigest()
    assert digest(dataclasses.replace(small_split(), repeats=5)) == digest(small_split())


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": ItemVocabulary(["a", "b", "d"])},
        {"user_ids": ("u", "w")},
        {"train": Histories.of([[0], [2]])},
        {"train": Histories.of([[0, 1], []])},
        {"valid": Histories.of([[], [1]])},
        {"test": Histories.of([[2], [1]])},
        {"valid": Histories.of([[2], [0]]), "test": Histories.of([[1], []])},
    ],
)
def test_any_change_of_a_split_changes_its_digest(change: dict[str, object]) -> None:
    assert digest(dataclasses.replace(small_split(), **change)) != digest(small_split())


def folder_of(folder: Path, **parts: str) -> Path:
    for name, text in parts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_ids_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    split = read_split_folder(folder_of(tmp_path, train="10 30 4\n9 4\n", valid="9 200\n", test="11 30\n9\n"))
    assert split.user_ids == ("9", "10", "11")
    assert split.vocabulary.item_ids == ("4", "30", "200")
    assert parts_of(split) == [([0], [2], []), ([1, 0], [], []), ([], [], [1])]


def test_other_ids_are_in_the_order_of_their_appearance(tmp_path: Path) -> None:
    split = read_split_folder(folder_of(tmp_path, train="bob  10 x\nann\t9\n", test="ann 10\n"))
    assert split.user_ids == ("bob", "ann")
    assert split.vocabulary.item_ids == ("10", "x", "9")
    assert parts_of(split) == [([0, 1], [], []), ([2], [], [0])]


def test_compressed_parts_are_read(tmp_path: Path) -> None:
    for name, text in (("train", b"0 1\n"), ("valid", b"0 2\n"), ("test", b"0 3\n")):
        (tmp_path / f"{name}.txt.gz").write_bytes(gzip.compress(text))
    assert parts_of(read_split_folder(tmp_path)) == [([0], [1], [2])]


@pytest.mark.parametrize(
    ("parts", "file", "line", "reason"),
    [
        ({"train": "0 1\n1 1\n0 2\n"}, "train", 3, "user '0' stands on line 1 already"),
        ({"train": "0 1\n1 2 3 2\n"}, "train", 2, "item '2' stands more than once for user '1'"),
        ({"train": "0 1\n", "valid": "1 1\n0 3 1\n"}, "valid", 2, "item '1' of user '0' stands in train.txt already"),
        ({"train": "0 1\n", "test": "0 2 1\n"}, "test", 1, "item '1' of user '0' stands in train.txt already"),
        ({"valid": "0 5\n", "test": "0 5\n"}, "test", 1, "item '5' of user '0' stands in valid.txt already"),
        ({"train": "0 1\n\n1 1\n"}, "train", 2, "has no user"),
        ({"train": f"0 {'1' * 257}\n"}, "train", 1, "more than 256 characters"),
    ],
)
def test_a_malformed_line_of_a_part_is_reported(
    tmp_path: Path, parts: dict[str, str], file: str, line: int, reason: str
) -> None:
    folder_of(tmp_path, **{"train": "", "test": ""} | parts)
    with pytest.raises(MalformedLine, match=reason) as caught:
        read_split_folder(tmp_path)
    assert (caught.value.path, caught.value.line) == (tmp_path / f"{file}.txt", line)


def test_a_part_that_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"test\.txt or test\.txt\.gz; .* holds neither"):
        read_split_folder(folder_of(tmp_path, train="0 1\n"))
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(b"0 2\n"))
    with pytest.raises(BadInput, match=r"train\.txt or train\.txt\.gz; .* holds both"):
        read_split_folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("split_ml1m", (6_039, 3_628, 590_733, 80_897, 164_848)),
        ("split_lastfm", (1_885, 17_388, 64_315, 9_143, 18_321)),
    ],
)
def test_the_published_splits_are_read_whole(name: str, counts: tuple[int, ...]) -> None:
    if "HEARTH_DATA" not in os.environ:
        pytest.skip("HEARTH_DATA does not name the folder of the real data sets")
    folder = Path(os.environ["HEARTH_DATA"]) / name
    split = read_split_folder(folder)
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    found = (len(split.user_ids), len(split.vocabulary), *(len(part.rows) for part in parts.values()))
    assert found == counts
    item_ids = split.vocabulary.item_ids
    for part, histories in parts.items():
        with gzip.open(folder / f"{part}.txt.gz", "rt") as file:
            lines = {user: items for user, *items in map(str.split, file)}
        for user, rows in zip(split.user_ids, histories, strict=True):
            assert [item_ids[row] for row in rows] == lines.get(user, [])
