"""What an event weighs, and what a table may hold."""

import math

import pytest

from feature_store.errors import BadInput
from feature_store.event_weights import EventWeights


def test_the_same_kind_weighs_what_its_vertical_says() -> None:
    weights = EventWeights({None: {"view": 1.0}, "news": {"view": 0.5}})
    assert weights.of("news", "view") == 0.5
    assert weights.of(None, "view") == 1.0


def test_a_vertical_without_a_row_has_that_of_no_vertical_and_a_kind_that_is_not_named_weighs_one() -> None:
    weights = EventWeights({None: {"view": 3.0}, "news": {}})
    assert weights.of("gardening", "view") == 3.0
    assert weights.of("news", "view") == weights.of(None, "rating") == 1.0
    assert EventWeights({}).of("news", "view") == 1.0


def test_an_impression_weighs_nothing_anywhere_and_a_purchase_more_than_a_view() -> None:
    weights = EventWeights()
    assert {weights.of(vertical, "impression") for vertical in (None, *weights.table)} == {0.0}
    assert weights.of("e-commerce", "purchase") > weights.of("e-commerce", "add-to-cart") > 1.0


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, 1e7])
def test_a_weight_that_is_none_is_refused_with_its_place(weight: float) -> None:
    with pytest.raises(BadInput, match=f"from 0 to 1e\\+06; got {weight} for 'read' of 'news'"):
        EventWeights({"news": {"read": weight}})


def test_a_kind_that_hides_has_no_weight() -> None:
    with pytest.raises(BadInput, match="'hide' of None hides an item, and so weighs nothing; got 0"):
        EventWeights({None: {"hide": 0.0}})
