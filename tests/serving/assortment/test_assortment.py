"""What can be shown: the model's items, and what the catalogue says of these and of others."""

from decimal import Decimal

import numpy as np
import pytest

from feature_store.item_schemas import Ad, Article, Post, Product, StoredItem
from serving.assortment.assortment import Assortment
from serving.shelf import Shelf

NEWS = "news"


def shelf_of(items: int) -> Shelf:
    rng = np.random.default_rng(1)
    return Shelf.of(np.arange(items, dtype=np.int32), rng.normal(size=(items, 3)).astype(np.float32), np.ones(items))


def article(item_id: str, published: float = 10.0, expires: float | None = None, **more: object) -> Article:
    return Article.model_validate(
        {"item_id": item_id, "vertical": NEWS, "published": published, "expires": expires, **more}
    )


def shown(assortment: Assortment, now: float = 100.0, *, in_stock: bool = False) -> list[str]:
    return [assortment.item_id(place) for place in np.flatnonzero(assortment.open_at(now, in_stock=in_stock)).tolist()]


def test_without_a_catalogue_all_that_the_model_has_can_be_shown() -> None:
    assortment = Assortment(shelf_of(2), ("a", "b"), has_catalogue=False)
    assert shown(assortment) == ["a", "b"]
    assert (len(assortment), assortment.known, assortment.fields) == (2, 2, ())


def test_with_a_catalogue_what_it_does_not_have_is_not_shown_and_what_the_model_lacks_is() -> None:
    assortment = Assortment(shelf_of(3), ("a", "b", "c"), has_catalogue=True)
    assert shown(assortment) == []
    assortment.put([article("b"), article("new"), article("a")])
    assert shown(assortment) == ["a", "b", "new"]
    assert [assortment.place(name) for name in ("a", "b", "c", "new", "never")] == [0, 1, 2, 3, None]
    assert assortment.known == 3
    assortment.remove(["b", "never"])
    assert shown(assortment) == ["a", "new"]
    assert assortment.item(1) is None
    assortment.put([article("b")])
    assert shown(assortment) == ["a", "b", "new"]
    assert [item.item_id for item in assortment.items()] == ["a", "b", "new"]


def test_an_article_is_shown_from_its_publication_until_it_expires() -> None:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([article("now", 10.0, 20.0), article("later", 15.0), article("always", 0.0)])
    assert [shown(assortment, now) for now in (9.9, 10.0, 15.0, 19.9, 20.0)] == [
        ["always"],
        ["now", "always"],
        ["now", "later", "always"],
        ["now", "later", "always"],
        ["later", "always"],
    ]
    assert assortment.appeared.tolist() == [10.0, 15.0, 0.0]


def test_what_cannot_be_sold_is_left_out_where_that_is_asked() -> None:
    def product(item_id: str, stock: int | None) -> Product:
        return Product(item_id=item_id, vertical="e-commerce", stock=stock, price=Decimal("2.5"), currency="EUR")

    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([product("none", 0), product("one", 1), product("uncounted", None)])
    assert shown(assortment) == ["none", "one", "uncounted"]
    assert shown(assortment, in_stock=True) == ["one", "uncounted"]
    assortment.put([product("none", 3), product("one", 0)])
    assert shown(assortment, in_stock=True) == ["none", "uncounted"]
    prices, stock = assortment.numbers("price"), assortment.numbers("stock")
    assert prices is not None
    assert stock is not None
    assert prices.tolist() == [2.5, 2.5, 2.5]
    np.testing.assert_array_equal(stock, [3.0, 0.0, np.nan])


@pytest.mark.parametrize(
    ("item", "names", "numbers"),
    [
        (
            Post(item_id="p", vertical="social", author="ada", created=5.0, categories=("cats", "dogs")),
            {"author": ("ada",), "visibility": ("public",), "categories": ("cats", "dogs")},
            {},
        ),
        (
            Ad(item_id="x", vertical="ads", advertiser="acme", bid=Decimal("0.5"), currency="EUR", campaign="spring"),
            {"advertiser": ("acme",), "campaign": ("spring",), "safety": ("unrated",)},
            {"bid": 0.5},
        ),
        (
            article("n", topic="sport", source="wire", labels={"mood": ("glad",)}, numbers={"words": 300.0}),
            {"topic": ("sport",), "source": ("wire",), "mood": ("glad",)},
            {"words": 300.0},
        ),
    ],
)
def test_fields_become_columns_and_go_with_their_item(
    item: StoredItem, names: dict[str, tuple[str, ...]], numbers: dict[str, float]
) -> None:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([item])
    assert set(assortment.fields) == {*names, *numbers}
    for field, theirs in names.items():
        column = assortment.names(field)
        assert column is not None
        assert column.names(0) == theirs
    for field, number in numbers.items():
        values = assortment.numbers(field)
        assert values is not None
        assert values.tolist() == [number]
    assortment.remove([item.item_id])
    assert all((column := assortment.names(field)) is not None and column.names(0) == () for field in names)


def test_rows_of_the_vocabulary_stand_where_the_shelf_has_them() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(9, 3)).astype(np.float32)
    shelf = Shelf.of(np.array([2, 5, 7], np.int32), vectors, np.ones(9, np.float32))
    assortment = Assortment(shelf, ("c", "f", "h"), has_catalogue=True)
    assert assortment.places_of_rows(np.array([5, 6, 7], np.int32)).tolist() == [1, 2]
    assert assortment.places(["h", "zzz", "c", "h"]).tolist() == [0, 2]
