"""Statistics of a split against counting by hand."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split
from training.split_statistics import Bin, split_statistics

ITEMS = 40


def split_of(
    train: list[list[int]], valid: list[list[int]] | None = None, test: list[list[int]] | None = None
) -> Split:
    nobody: list[list[int]] = [[]] * len(train)
    parts = {"train": train, "valid": valid or nobody, "test": test or nobody}
    return Split(
        ItemVocabulary(f"i{row}" for row in range(ITEMS)),
        tuple(f"p{person}" for person in range(len(train))),
        **{name: Histories.of(part) for name, part in parts.items()},
    )


@given(st.lists(st.sets(st.integers(0, ITEMS - 1)), min_size=1, max_size=12))
def test_bins_hold_everybody_once(people: list[set[int]]) -> None:
    counted = split_statistics(split_of([sorted(met) for met in people]))
    met_by = Counter(item for met in people for item in met)
    values = {
        "people_by_history": [len(met) for met in people],
        "items_by_people": [met_by[item] for item in range(ITEMS)],
    }
    for name, numbers in values.items():
        bins: tuple[Bin, ...] = getattr(counted, name)
        assert sum(x.number for x in bins) == len(numbers)
        assert all(x.number == sum(x.least <= number <= x.most for number in numbers) for x in bins)
        assert all(after.least == before.most + 1 for before, after in itertools.pairwise(bins))
        assert bins[0].number > 0
        assert bins[-1].number > 0
    assert counted.unmet_items == ITEMS - len(met_by)
    assert counted.train == sum(met_by.values())
    top = sum(number for _, number in met_by.most_common(4))
    assert counted.top_tenth == pytest.approx(top / max(1, counted.train))


def test_counts_are_those_of_the_parts() -> None:
    counted = split_statistics(split_of([[0, 1, 2], [5]], [[3], []], [[4, 7], []]))
    assert (counted.people, counted.items, counted.train, counted.valid, counted.test) == (2, ITEMS, 4, 1, 2)
    assert counted.density == pytest.approx(4 / 80)
    assert counted.people_by_history == (Bin(1, 1, 1), Bin(2, 3, 1))
    assert counted.items_by_people == (Bin(0, 0, 36), Bin(1, 1, 4))
