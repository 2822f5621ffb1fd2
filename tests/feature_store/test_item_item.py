"""Item-item weights: what is added, to which items, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.item_item import ItemItem

ROWS = np.array([2, 5, 9], np.int32)
WEIGHTS = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], np.float32)


def rows(*items: int) -> np.ndarray:
    return np.array(items, np.int32)


def test_each_item_met_adds_its_line_of_weights() -> None:
    added = ItemItem(ROWS, WEIGHTS).added([rows(5), rows(9, 2), rows()])
    assert added.tolist() == [[3, 0, 4], [5, 7, 2], [0, 0, 0]]


@given(st.sets(st.integers(0, 12)))
def test_items_without_weights_add_nothing_and_the_order_of_a_history_does_not_matter(history: set[int]) -> None:
    weights = ItemItem(ROWS, WEIGHTS)
    expected = sum((WEIGHTS[ROWS.tolist().index(row)] for row in history if row in ROWS), np.zeros(3))
    assert weights.added([rows(*history)])[0].tolist() == expected.tolist()
    assert weights.added([rows(*sorted(history, reverse=True))])[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("of_rows", "weights", "said"),
    [
        (rows(5, 2, 9), WEIGHTS, "each is higher"),
        (rows(2, 2, 9), WEIGHTS, "each is higher"),
        (rows(-1, 2, 9), WEIGHTS, ">= 0"),
        (ROWS.astype(np.int64), WEIGHTS, "int32"),
        (ROWS, WEIGHTS[:2], r"shape \(3, 3\)"),
        (ROWS, WEIGHTS.astype(np.float64), "float64"),
        (ROWS, WEIGHTS * np.float32("nan"), "finite"),
    ],
)
def test_what_are_no_weights_of_rows_is_refused(of_rows: np.ndarray, weights: np.ndarray, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        ItemItem(of_rows, weights)
