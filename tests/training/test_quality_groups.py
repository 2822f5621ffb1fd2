"""Quality by group against a count of one person and one item at a time."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.evaluation import evaluate
from training.histories import Histories
from training.quality_groups import quality_by_group

ITEMS = 30
PEOPLE = st.lists(
    st.tuples(st.sets(st.integers(0, 29), max_size=20), st.sets(st.integers(0, 29), max_size=6)),
    min_size=1,
    max_size=12,
)


@given(PEOPLE, st.integers(0, 10_000))
def test_groups_together_are_everybody_and_each_is_its_own_people_and_items(
    people: list[tuple[set[int], set[int]]], seed: int
) -> None:
    train = Histories.of([sorted(met) for met, _ in people])
    held_out = Histories.of([sorted(wanted - met) for met, wanted in people])
    assume(held_out.rows.size)
    scores = np.random.default_rng(seed).permutation(len(people) * ITEMS).reshape(-1, ITEMS).astype(np.float32)
    whole = evaluate(lambda clients: scores[clients], ITEMS, held_out, [train])
    groups = quality_by_group(lambda clients: scores[clients], train, ITEMS, held_out, [train])

    # The means of the groups, weighted, are the mean over everybody.
    for figure in ("recall", "ndcg", "hr_10"):
        total = sum(group.people * getattr(group, figure) for group in groups.people)
        assert total / whole.users == pytest.approx(getattr(whole, figure))
    assert sum(group.people for group in groups.people) == whole.users

    # Each judged person is in the one group whose range holds that person's train items.
    lengths = [len(met) for (met, wanted) in people if wanted - met]
    for group in groups.people:
        assert group.people == sum(group.least <= length <= group.most for length in lengths)
    bounds = [(group.least, group.most) for group in groups.people]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(bounds))

    # Of each item by hand: by how many met, how often held out, found and recommended.
    met_by = [sum(item in met for met, _ in people) for item in range(ITEMS)]
    wanted_of, found_of, shown_of = ([0] * ITEMS for _ in range(3))
    for person, (met, wanted) in enumerate(people):
        if not wanted - met:
            continue
        for item in wanted - met:
            wanted_of[item] += 1
        for item in sorted(set(range(ITEMS)) - met, key=lambda item: -scores[person, item])[:20]:
            shown_of[item] += 1
            found_of[item] += item in wanted
    assert sum(group.items for group in groups.items) == ITEMS
    for group in groups.items:
        rows = [item for item in range(ITEMS) if group.least <= met_by[item] <= group.most]
        assert group.items == len(rows)
        assert group.held_out == sum(wanted_of[row] for row in rows)
        assert group.recall == pytest.approx(sum(found_of[row] for row in rows) / max(1, group.held_out))
        assert group.recommended == pytest.approx(sum(shown_of[row] for row in rows) / sum(shown_of))
        assert group.coverage == pytest.approx(sum(shown_of[row] > 0 for row in rows) / len(rows))


def test_people_are_cut_at_quartiles_and_items_at_quarters_of_the_interactions() -> None:
    """Twelve people with 1 to 12 items; item i is met by 12 − i of them."""
    train = Histories.of([list(range(length)) for length in range(1, 13)])
    held_out = Histories.of([[12]] * 12)
    groups = quality_by_group(lambda c: np.zeros((len(c), 13), np.float32), train, 13, held_out, [train])
    assert [(group.least, group.most, group.people) for group in groups.people] == [
        (1, 3, 3),
        (4, 6, 3),
        (7, 9, 3),
        (10, 12, 3),
    ]
    # Of 78 interactions, from the rarest item on: 21 is the first sum to reach 19.5, 45 reaches 39, 66 reaches 58.5.
    assert [(group.least, group.most, group.items) for group in groups.items] == [
        (0, 0, 1),
        (1, 6, 6),
        (7, 9, 3),
        (10, 11, 2),
        (12, 12, 1),
    ]
    assert [group.held_out for group in groups.items] == [12, 0, 0, 0, 0]


def test_people_alike_are_one_group() -> None:
    train = Histories.of([[0, 1]] * 9)
    groups = quality_by_group(lambda c: np.ones((len(c), 5), np.float32), train, 5, Histories.of([[3]] * 9), [train])
    assert [(group.least, group.most, group.people) for group in groups.people] == [(2, 2, 9)]


def test_somebody_served_badly_shows() -> None:
    """A scorer that knows the active half only: the quiet half finds nothing."""
    train = Histories.of([[0]] * 8 + [[0, 1, 2]] * 8)
    scores = np.tile(np.arange(60, 0, -1), (16, 1)).astype(np.float32)
    held_out = Histories.of([[50]] * 8 + [[10]] * 8)
    groups = quality_by_group(lambda clients: scores[clients], train, 60, held_out, [train])
    assert [(group.least, group.recall, group.hr_10) for group in groups.people] == [(1, 0.0, 0.0), (3, 1.0, 1.0)]


def test_without_held_out_items_there_is_nothing_to_judge() -> None:
    train = Histories.of([[0]])
    with pytest.raises(BadInput, match="nobody has held-out items"):
        quality_by_group(lambda c: np.zeros((len(c), 3), np.float32), train, 3, Histories.of([[]]), [train])
