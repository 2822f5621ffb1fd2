"""A split that stands in a folder: train.txt, valid.txt, test.txt, one person a line, `user item item ...`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from feature_store.arrays import Int32Array
from feature_store.errors import BadInput, MalformedLine
from feature_store.events import LONGEST_ID
from feature_store.tabular import open_lines
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split

_Part = dict[int, list[int]]  # user -> items, both numbered by appearance


def read_split_folder(path: Path) -> Split:
    """The split of a folder. Each file may be gzip-compressed and end in .gz; valid.txt may be missing.

    Ids are whatever has no white space in it. Where all item ids are whole numbers, the vocabulary is in the order of
    the numbers, otherwise in that of appearance; people likewise. A person may be missing in a part, or have no items
    there.

    Raises:
        BadInput: a file is missing, or there both as it is and compressed.
        MalformedLine: a line has no person or an id that is too long; a person stands on two lines of a file; an item
            stands twice for one person, be it in one part or in two.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    train = _read_part(_only(path, "train.txt"), users, items, {})
    there = any((path / name).exists() for name in ("valid.txt", "valid.txt.gz"))
    valid = _read_part(_only(path, "valid.txt"), users, items, {"train.txt": train}) if there else {}
    test = _read_part(_only(path, "test.txt"), users, items, {"train.txt": train, "valid.txt": valid})
    user_ids, user_rows = _ordered(users)
    item_ids, item_rows = _ordered(items)

    def histories(part: _Part) -> Histories:
        by_row = {int(user_rows[user]): item_rows[rows] for user, rows in part.items()}
        return Histories.of(by_row.get(row, np.empty(0, dtype=np.int32)) for row in range(len(user_ids)))

    return Split(ItemVocabulary(item_ids), user_ids, histories(train), histories(valid), histories(test))


def _only(folder: Path, name: str) -> Path:
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.exists()]
    if len(found) != 1:
        how = "both" if found else "neither"
        raise BadInput(f"a split folder holds {name} or {name}.gz; {folder} holds {how}")
    return found[0]


def _read_part(path: Path, users: dict[str, int], items: dict[str, int], earlier: Mapping[str, _Part]) -> _Part:
    """The lines of one file. Numbers new people and items; `earlier` are the parts that must not hold its pairs."""
    part: _Part = {}
    lines: dict[int, int] = {}
    for line, (user_id, *item_ids) in _tokens(path):
        user = users.setdefault(user_id, len(users))
        first = lines.setdefault(user, line)
        if first != line:
            raise MalformedLine(path, line, f"user {user_id!r} stands on line {first} already")
        part[user] = [items.setdefault(item_id, len(items)) for item_id in item_ids]
        met = set(part[user])
        if len(met) != len(item_ids):
            twice = next(item_id for item_id in item_ids if item_ids.count(item_id) > 1)
            raise MalformedLine(path, line, f"item {twice!r} stands more than once for user {user_id!r}")
        for name, other in earlier.items():
            both = met.intersection(other.get(user, ()))
            if both:
                item_id = next(item_id for item_id in item_ids if items[item_id] in both)
                raise MalformedLine(path, line, f"item {item_id!r} of user {user_id!r} stands in {name} already")
    return part


def _tokens(path: Path) -> Iterator[tuple[int, list[str]]]:
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            tokens = line.split()
            if not tokens:
                raise MalformedLine(path, number, "has no user; a line is `user item item ...`")
            if max(map(len, tokens)) > LONGEST_ID:
                raise MalformedLine(path, number, f"has an id of more than {LONGEST_ID} characters")
            yield number, tokens


def _ordered(numbered: Mapping[str, int]) -> tuple[tuple[str, ...], Int32Array]:
    """Ids in the order of their rows, and the row of each number that was given by appearance."""
    ids = tuple(numbered)
    if all(token.isascii() and token.isdecimal() for token in ids):
        ids = tuple(sorted(ids, key=lambda token: (int(token), token)))  # 7 and 07 are two ids
    rows = np.empty(len(ids), dtype=np.int32)
    rows[[numbered[token] for token in ids]] = np.arange(len(ids), dtype=np.int32)
    return ids, rows
