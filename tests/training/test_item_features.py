"""Item features: arrays in the order of the vocabulary, and one digest over all of them."""

from dataclasses import replace

import numpy as np
import pytest

from feature_store.errors import BadInput
from training.item_features import ItemFeatures, NamedColumn

FEATURES = ItemFeatures(
    3,
    {"category": NamedColumn.of([("a",), ("b", "a"), ()]), "brand": NamedColumn.of([("x",), (), ("y",)])},
    np.array([[0.5], [0], [-0.5]], np.float32),
    np.arange(6, dtype=np.float32).reshape(3, 2),
)


def test_a_name_that_too_few_items_have_gets_no_number() -> None:
    column = NamedColumn.of([("a", "rare"), ("a",), ("b",), ("b", "a")], least=2)
    assert column.names == ("a", "b")
    assert column.numbers.tolist() == [[1, 0], [1, 0], [2, 0], [2, 1]]


@pytest.mark.parametrize(
    "changed",
    [
        replace(FEATURES, named={"category": FEATURES.named["category"]}),
        replace(FEATURES, named={"genre": FEATURES.named["category"], "brand": FEATURES.named["brand"]}),
        replace(FEATURES, named={**FEATURES.named, "brand": NamedColumn.of([("x",), (), ("z",)])}),
        replace(FEATURES, named={**FEATURES.named, "brand": NamedColumn.of([("y",), (), ("x",)])}),
        replace(FEATURES, numeric=FEATURES.numeric * 2),
        replace(FEATURES, text=FEATURES.text + np.eye(3, 2, dtype=np.float32)),
        replace(FEATURES, text=np.zeros((3, 0), np.float32)),
    ],
)
def test_the_digest_is_another_where_anything_is(changed: ItemFeatures) -> None:
    assert changed.digest() != FEATURES.digest()


def test_the_digest_of_equal_features_is_equal() -> None:
    assert replace(FEATURES, text=FEATURES.text.copy(), named=dict(FEATURES.named)).digest() == FEATURES.digest()


def test_a_part_of_another_number_of_items_is_refused() -> None:
    with pytest.raises(BadInput, match=r"features of 3 items have a row each; texts have shape \(2, 2\)"):
        replace(FEATURES, text=FEATURES.text[:2])
