"""From a catalogue to features."""

import numpy as np
import pytest

from feature_store.catalogue import Catalogue, Item
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.catalogue_features import catalogue_features
from training.tower_settings import TowerSettings

GOODS = Catalogue(
    [
        Item("tea", "Green tea", ("drinks", "hot"), {"brand": ("A",)}, {"price": 1.0}),
        Item("milk", "", ("drinks",), {"brand": ("A",)}, {"price": 2.0}),
        Item("bread", "Rye bread", ("food",), {"brand": ("B",)}),
        Item("cake", "Rye bread", ("food", "drinks"), {}, {"price": 4.0}),
    ]
)
VOCABULARY = ItemVocabulary(["cake", "tea", "unlisted", "milk", "bread"])
NO_TEXT = TowerSettings(text_encoder=None, buckets=2)


def test_each_column_is_in_the_order_of_the_vocabulary_and_an_item_that_is_not_listed_has_nothing() -> None:
    features = catalogue_features(VOCABULARY, GOODS, NO_TEXT)
    assert features.items == 5
    assert set(features.named) == {"category", "brand", "price (range)"}
    category, brand = features.named["category"], features.named["brand"]
    assert category.names == ("drinks", "food")  # one item alone is hot
    assert category.numbers.tolist() == [[2, 1], [1, 0], [0, 0], [1, 0], [2, 0]]
    assert brand.names == ("A",)
    assert brand.numbers[:, 0].tolist() == [0, 1, 0, 1, 0]
    price = features.numeric[:, 0]
    assert price[0] > price[3] > price[1]
    assert (price[2], price[4]) == (0, 0)
    assert features.text.size == 0


def test_a_cross_has_a_name_for_each_combination_that_two_items_share() -> None:
    features = catalogue_features(VOCABULARY, GOODS, NO_TEXT.model_copy(update={"crosses": (("brand", "category"),)}))
    cross = features.named["brand * category"]
    assert cross.names == ("A * drinks",)
    assert cross.numbers[:, 0].tolist() == [0, 1, 0, 1, 0]


def test_a_cross_with_a_column_that_holds_no_names_is_refused() -> None:
    with pytest.raises(BadInput, match=r"a cross of 'brand' and 'price' .* are: category, brand"):
        catalogue_features(VOCABULARY, GOODS, NO_TEXT.model_copy(update={"crosses": (("brand", "price"),)}))


def test_titles_are_encoded_by_the_encoder_that_is_named() -> None:
    features = catalogue_features(VOCABULARY, GOODS, TowerSettings())
    assert features.text.shape == (5, 256)
    np.testing.assert_array_equal(features.text[0], features.text[4])
    assert not features.text[[2, 3]].any()
    np.testing.assert_allclose(np.linalg.norm(features.text[[0, 1]], axis=1), 1, rtol=1e-5)
