"""Files of indexes: what is opened answers as what was built, from mapped memory, and what was spoilt is built anew."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.indexes.files import IndexFiles
from serving.indexes.int8 import Int8Index
from serving.indexes.inverted import InvertedIndex
from serving.indexes.item_index import ItemIndex
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.shared_vectors import shared_vectors
from tests.serving.indexes.made_up import clustered, queries_of

VECTORS = clustered(6_000, 20, seed=1)
MATRIX = ItemMatrix.of(VECTORS)


@pytest.fixture(scope="module")
def built() -> list[ItemIndex | None]:
    return [None, Int8Index.of(VECTORS), InvertedIndex.of(VECTORS)]


def mapped(folder: Path) -> int:
    """How many bytes of files below that folder this process has mapped."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(folder) in line:
            first, last = (int(part, 16) for part in line.split()[0].split("-"))
            total += last - first
    return total


def test_opened_indexes_answer_as_those_that_were_built_and_their_codes_are_mapped(
    built: list[ItemIndex | None], tmp_path: Path
) -> None:
    files = IndexFiles(tmp_path)
    files.keep("r1", built)
    opened = files.find("r1", [MATRIX] * 3)
    assert opened is not None
    assert opened[0] is None
    assert mapped(tmp_path) > 2 * VECTORS.size  # a byte a number, twice
    eligible = np.random.default_rng(2).random(len(VECTORS)) < 0.7
    for before, after in zip(built[1:], opened[1:], strict=True):
        assert before is not None
        assert type(after) is type(before)
        for query in queries_of(VECTORS, 5, seed=3):
            expected, found = (index.retrieve(query, 20, eligible) for index in (before, after))
            assert found.places.tolist() == expected.places.tolist()
            assert found.scores.tolist() == expected.scores.tolist()


def test_what_was_never_kept_is_not_found(tmp_path: Path) -> None:
    assert IndexFiles(tmp_path).find("r1", [MATRIX]) is None


@pytest.mark.parametrize("name", ["1.codes.npy", "2.codes.npy", "2.first.npy", "indexes.json"])
def test_an_index_with_a_byte_changed_is_not_opened_and_can_be_kept_again(
    built: list[ItemIndex | None], tmp_path: Path, name: str
) -> None:
    files = IndexFiles(tmp_path)
    files.keep("r1", built)
    spoilt = tmp_path / "r1" / name
    content = bytearray(spoilt.read_bytes())
    content[len(content) // 2] ^= 1
    spoilt.write_bytes(content)
    assert files.find("r1", [MATRIX] * 3) is None
    files.keep("r1", built)
    assert files.find("r1", [MATRIX] * 3) is not None


def test_an_index_of_other_items_is_not_opened(built: list[ItemIndex | None], tmp_path: Path) -> None:
    files = IndexFiles(tmp_path)
    files.keep("r1", built[1:2])
    assert files.find("r1", [ItemMatrix.of(VECTORS[:-1])]) is None


def test_an_index_of_the_way_in_which_they_were_kept_before_is_not_opened(
    built: list[ItemIndex | None], tmp_path: Path
) -> None:
    files = IndexFiles(tmp_path)
    files.keep("r1", built)
    (tmp_path / "r1" / "1.codes.npy").rename(tmp_path / "r1" / "1.codes")
    said = json.loads((tmp_path / "r1" / "indexes.json").read_text())
    said["files"]["1.codes"] = said["files"].pop("1.codes.npy")
    (tmp_path / "r1" / "indexes.json").write_text(json.dumps(said))
    assert files.find("r1", [MATRIX] * 3) is None
    assert not (tmp_path / "r1").exists()


def test_shared_vectors_are_mapped_read_only_and_written_once(tmp_path: Path) -> None:
    first = shared_vectors(tmp_path, "r1", VECTORS)
    file = tmp_path / "r1.vectors" / "vectors.npy"
    before = file.stat().st_ino
    second = shared_vectors(tmp_path, "r1", VECTORS.copy())
    assert file.stat().st_ino == before
    assert mapped(tmp_path) >= 2 * VECTORS.nbytes
    for vectors in (first, second):
        assert type(vectors) is np.ndarray
        assert (vectors == VECTORS).all()
        with pytest.raises(ValueError, match="read-only"):
            vectors[0, 0] = 1


def test_shared_vectors_that_are_not_the_checkpoints_are_written_anew(tmp_path: Path) -> None:
    other = VECTORS.copy()
    other[17, 3] += 1
    shared_vectors(tmp_path, "r1", other)
    assert (shared_vectors(tmp_path, "r1", VECTORS) == VECTORS).all()


def test_a_file_where_a_folder_should_be_gives_way(tmp_path: Path, built: list[ItemIndex | None]) -> None:
    for name in ("r1.vectors", "r1"):
        (tmp_path / name).write_text("in the way")
    assert (shared_vectors(tmp_path, "r1", VECTORS) == VECTORS).all()
    files = IndexFiles(tmp_path)
    assert files.find("r1", [MATRIX]) is None
    files.keep("r1", built[2:])
    assert files.find("r1", [MATRIX]) is not None
    assert (tmp_path / "r1.vectors" / "vectors.npy").exists()


def test_folders_used_longest_ago_are_removed(tmp_path: Path) -> None:
    for number in range(10):
        shared_vectors(tmp_path, f"r{number}", VECTORS[:5])
    assert len(list(tmp_path.iterdir())) == 8
    assert not (tmp_path / "r0.vectors").exists()


@pytest.mark.parametrize(
    "said",
    [
        '{"files": [], "indexes": []}',
        '{"files": {}, "indexes": [1]}',
    ],
)
def test_a_file_of_json_that_says_something_else_is_no_index(
    built: list[ItemIndex | None], tmp_path: Path, said: str
) -> None:
    assert_built_anew(built[2:], tmp_path, lambda _: said)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["files"].clear(),
        lambda said: said["files"].pop("0.codes.npy"),
        lambda said: said["files"].update({"notes.txt": hashlib.sha256(b"more").hexdigest()}),
        lambda said: said["indexes"][0].update(kind="exact"),
        lambda said: said["indexes"][0].update(kind="graph"),
        lambda said: said["indexes"][0].update(effort=math.inf),
    ],
    ids=["no digest", "a digest less", "a digest more", "a kind without files", "no kind", "no effort"],
)
def test_an_index_is_opened_only_with_a_digest_of_each_file_that_one_of_its_kind_has(
    built: list[ItemIndex | None], tmp_path: Path, change: Callable[[Any], object]
) -> None:
    def changed(content: str) -> str:
        (tmp_path / "r1" / "notes.txt").write_text("more")
        said = json.loads(content)
        change(said)
        return json.dumps(said)

    assert_built_anew(built[2:], tmp_path, changed)


def assert_built_anew(built: list[ItemIndex | None], folder: Path, changed: Callable[[str], str]) -> None:
    """What is said of an index, changed so, is refused, and the index can be kept again."""
    files = IndexFiles(folder)
    files.keep("r1", built)
    said = folder / "r1" / "indexes.json"
    said.write_text(changed(said.read_text()))
    assert files.find("r1", [MATRIX]) is None
    files.keep("r1", built)
    assert files.find("r1", [MATRIX]) is not None
