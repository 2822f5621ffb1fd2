"""Kept masks are those of what is asked, as the assortment is now."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.arrays import BoolArray
from feature_store.item_schemas import Article, Product
from serving.assortment.assortment import Assortment
from serving.assortment.kept_masks import KeptMasks
from serving.placements.conditions import Condition, Range, holds, holds_at, places_of


def making(made: list[str], name: str, bits: str) -> Callable[[], BoolArray]:
    def make() -> BoolArray:
        made.append(name)
        return np.array([bit == "1" for bit in bits])

    return make


def test_a_mask_is_worked_out_once_for_each_version_and_cannot_be_written_to() -> None:
    kept, made = KeptMasks(), list[str]()
    for version in (1, 1, 2, 2):
        for name, bits in (("a", "10"), ("b", "00")):
            mask = kept.mask(name, version, making(made, name, bits))
            assert mask.tolist() == [bit == "1" for bit in bits]
    assert made == ["a", "b", "a", "b"]
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True


def test_the_masks_not_asked_for_longest_go_and_one_stays_however_large() -> None:
    kept, made = KeptMasks(most_bytes=4), list[str]()
    for name in "aba":
        kept.mask(name, 1, making(made, name, "11"))
    kept.mask("c", 1, making(made, "c", "11"))  # now b is the one asked for longest ago
    kept.mask("a", 1, making(made, "a", "11"))
    assert made == ["a", "b", "c"]
    kept.mask("b", 1, making(made, "b", "11"))
    assert made == ["a", "b", "c", "b"]
    for _ in range(2):
        kept.mask("large", 1, making(made, "large", 9 * "1"))
    assert made == ["a", "b", "c", "b", "large"]
    kept.mask("a", 1, making(made, "a", "11"))
    assert made[-1] == "a"


def test_places_are_those_of_the_mask_and_go_with_it() -> None:
    kept, made = KeptMasks(most_bytes=20), list[str]()
    for version, bits, places in ((1, "0110", [1, 2]), (2, "1000", [0])):
        for _ in range(2):
            found = kept.places("a", version, making(made, "a", bits))
            assert found.tolist() == places
            assert found.dtype == np.int32
    assert made == ["a", "a"]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    for name in "bcd":
        kept.places(name, 2, making(made, name, "1111"))
    assert made == ["a", "a", "b", "c", "d"]
    kept.mask("d", 2, making(made, "d", "1111"))
    kept.mask("c", 2, making(made, "c", "1111"))
    assert made[-1] == "c"


def product(number: int, price: float | None, brand: str = "x") -> Product:
    return Product(
        item_id=f"p{number}", vertical="shop", brand=brand, price=None if price is None else str(price), currency="EUR"
    )


def test_a_condition_follows_the_catalogue_however_often_it_was_asked_before() -> None:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([product(0, 5.0), product(1, 15.0), product(2, None)])
    cheap: Condition = {"price": Range(max=10.0), "brand": ("x", "y")}
    assert holds(cheap, assortment).tolist() == [True, False, False]
    assortment.put([product(1, 7.0), product(3, 8.0, "y")])
    assert holds(cheap, assortment).tolist() == [True, True, False, True]
    assert holds({"brand": ("y",)}, assortment).tolist() == [False, False, False, True]
    assortment.remove(["p0"])
    assert holds(cheap, assortment).tolist() == [False, True, False, True]
    assert holds_at(cheap, assortment, np.array([3, 0, 1], np.int32)).tolist() == [True, False, True]
    assert places_of(cheap, assortment).tolist() == [1, 3]
    assert places_of({}, assortment).tolist() == [0, 1, 2, 3]
    assortment.put([product(2, 1.0)])
    assert places_of(cheap, assortment).tolist() == [1, 2, 3]


TIMES = st.integers(0, 12).map(float)


@given(
    flights=st.lists(st.tuples(TIMES, st.integers(1, 6)), max_size=6),
    asked=st.lists(TIMES, min_size=1, max_size=12),
    later=st.integers(0, 11),
)
def test_what_is_open_is_right_at_every_time_whatever_was_asked_before(
    flights: Sequence[tuple[float, int]], asked: Sequence[float], later: int
) -> None:
    articles = [
        Article(item_id=f"a{n}", vertical="news", title="t", published=since, expires=since + lasts)
        for n, (since, lasts) in enumerate(flights)
    ]
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put(articles[: len(articles) // 2])
    for turn, now in enumerate(asked):
        if turn == later:
            assortment.put(articles)
        there = articles[: len(assortment)]
        assert assortment.open_at(now).tolist() == [one.current_at(now) for one in there]
    assert assortment.open_at(math.inf).sum() == 0


def test_what_is_sold_out_is_left_out_where_that_is_asked_and_there_otherwise() -> None:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([Product(item_id=str(n), vertical="shop", stock=n) for n in range(3)])
    for _ in range(2):
        assert assortment.open_at(0.0, in_stock=True).tolist() == [False, True, True]
        assert assortment.open_at(0.0).tolist() == [True, True, True]
    assortment.open_at(0.0)[1] = False  # a new array, for whoever asks
    assert assortment.open_at(0.0).tolist() == [True, True, True]
