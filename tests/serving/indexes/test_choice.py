"""The rule by which an index is chosen."""

import numpy as np
import pytest

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates
from serving.indexes.choice import choose_index, expected_microseconds, quickest
from serving.indexes.exact import ExactIndex


@pytest.mark.parametrize(
    ("items", "kind"),
    [(3_628, "exact"), (10_000, "exact"), (20_000, "inverted"), (100_000, "inverted"), (1_000_000, "inverted")],
)
def test_a_catalogue_gets_the_index_that_its_size_calls_for(items: int, kind: str) -> None:
    assert choose_index(items, 65) == kind


def test_where_every_item_must_be_found_the_index_is_exact() -> None:
    assert choose_index(1_000_000, 64, recall_target=1.0) == "exact"


def test_where_next_to_nothing_may_be_missed_all_items_are_scanned() -> None:
    assert choose_index(100_000, 64, recall_target=0.9999) == "int8"


def test_what_is_expected_falls_to_the_eligible_items_alone_where_these_are_few() -> None:
    few = expected_microseconds(1_000_000, 64, 0.001, 0.99)
    assert few == pytest.approx({"exact": 51.2, "int8": 51.2, "inverted": 51.2})


def test_a_search_is_expected_to_take_longer_the_more_it_has_to_find() -> None:
    times = [
        expected_microseconds(1_000_000, 64, share, target)["inverted"]
        for share, target in ((1.0, 0.95), (1.0, 0.99), (0.5, 0.99), (0.5, 0.999))
    ]
    assert times == sorted(times)
    assert len(set(times)) == 4


class Again(ExactIndex):
    """Finds the same, and takes its time."""

    __slots__ = ()

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        for _ in range(9):
            super().retrieve(query, k, eligible)
        return super().retrieve(query, k, eligible)


def test_of_two_indexes_the_one_is_taken_that_takes_less_here_and_now() -> None:
    vectors = np.random.default_rng(1).standard_normal((5_000, 16), np.float32)
    quick, slow = ExactIndex(vectors), Again(vectors)
    kinds = [vectors[:20], vectors[20:40]]
    assert quickest([quick, slow], kinds, 10, 5_000) is quick
    assert quickest([slow, quick], kinds, 10, 5_000) is quick
