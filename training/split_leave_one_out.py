"""A published leave-one-out test in a folder: one item of each person held out, and the items it is ranked among.

He et al. 2017 ("Neural Collaborative Filtering") hold out the last item of each person and rank it among 99 others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feature_store.errors import BadInput, MalformedLine
from feature_store.tabular import open_table
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split

NEGATIVES = 99


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """The test, and a validation of the same form made from its train part.

    tuning: train without one item of each person, and that item as valid; its test part is empty, so that nothing can
        be chosen by it.
    valid_negatives: what each person's validation item is ranked among.
    final: the published train part and test items; what was chosen is trained on it and judged.
    test_negatives: what each person's test item is ranked among, as published.
    """

    tuning: Split
    valid_negatives: Histories
    final: Split
    test_negatives: Histories


def read_leave_one_out(folder: Path, seed: int = 0) -> LeaveOneOut:
    """The test of a folder with interactions.csv.gz (user_id, item_id, split) and ncf_test.csv.gz (negatives).

    The train part carries no times, so that a person's last train item is not known: the validation item is one of
    them at random, ranked among `NEGATIVES` that are drawn from all items outside the train part. A person's test item
    is an item like any other there, as it is for training. People with a single train item validate nothing.

    Raises:
        BadInput: a file is missing; a line of the test is of a person without train items, or two are of one.
        MalformedLine: a line is not what the format asks for, or the two files tell of other test items.
    """
    trained, held_out = _pairs(folder / "interactions.csv.gz")
    ranked = _ranked_among(folder / "ncf_test.csv.gz", held_out)
    vocabulary = ItemVocabulary(
        dict.fromkeys(
            item
            for lists in (trained.values(), ([item] for item in held_out.values()), ranked.values())
            for items in lists
            for item in items
        )
    )

    def rows(lists: Mapping[str, Sequence[str]]) -> Histories:
        return Histories.of([vocabulary.row(item) for item in lists.get(user, ())] for user in trained)

    train, nothing = rows(trained), Histories.of([()] * len(trained))
    kept, valid, valid_negatives = _validation(train, len(vocabulary), seed)
    test = rows({user: [item] for user, item in held_out.items()})
    people = tuple(trained)
    return LeaveOneOut(
        tuning=Split(vocabulary, people, kept, valid, nothing),
        valid_negatives=valid_negatives,
        final=Split(vocabulary, people, train, nothing, test),
        test_negatives=rows(ranked),
    )


def _pairs(path: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Train items of each person, and the test item of those that have one."""
    trained: dict[str, list[str]] = {}
    held_out: dict[str, str] = {}
    with open_table(path, required=["user_id", "item_id", "split"]) as table:
        user_at, item_at, split_at = (table.position(name) for name in ("user_id", "item_id", "split"))
        for line, fields in table.rows:
            user, item, part = fields[user_at], fields[item_at], fields[split_at]
            if part == "train":
                trained.setdefault(user, []).append(item)
            elif part != "test":
                raise MalformedLine(path, line, f"split is train or test; got {part!r}")
            elif held_out.setdefault(user, item) != item:
                raise MalformedLine(path, line, f"user {user!r} has the test items {held_out[user]!r} and {item!r}")
    without = held_out.keys() - trained.keys()
    if without:
        raise BadInput(f"{path} has no train items of user {min(without)!r}, who has a test item")
    return trained, held_out


def _ranked_among(path: Path, held_out: Mapping[str, str]) -> dict[str, list[str]]:
    """The published negatives of each person."""
    negatives: dict[str, list[str]] = {}
    with open_table(path, required=["user_id", "item_id", "negatives"]) as table:
        user_at, item_at, negatives_at = (table.position(name) for name in ("user_id", "item_id", "negatives"))
        for line, fields in table.rows:
            user, item = fields[user_at], fields[item_at]
            if held_out.get(user) != item:
                told = held_out.get(user)
                reason = f"the test item of user {user!r} is {item!r} here and {told!r} among the interactions"
                raise MalformedLine(path, line, reason)
            if user in negatives:
                raise MalformedLine(path, line, f"user {user!r} stands on a line before it already")
            negatives[user] = fields[negatives_at].split()
    without = held_out.keys() - negatives.keys()
    if without:
        raise BadInput(f"{path} has no line of user {min(without)!r}, who has a test item")
    return negatives


def _validation(train: Histories, items: int, seed: int) -> tuple[Histories, Histories, Histories]:
    """The train part without the validation items, those items, and what each is ranked among."""
    kept, valid, negatives = [], [], []
    for client, rows in enumerate(train):
        random = np.random.default_rng([seed, client])
        out = random.integers(len(rows)) if len(rows) > 1 else len(rows)
        unmet = np.setdiff1d(np.arange(items, dtype=np.int32), rows)
        kept.append(np.delete(rows, out) if out < len(rows) else rows)
        valid.append(rows[out : out + 1])
        drawn = random.choice(unmet, min(NEGATIVES, len(unmet)), replace=False)
        negatives.append(drawn if out < len(rows) else drawn[:0])
    return Histories.of(kept), Histories.of(valid), Histories.of(negatives)
