"""Conditions against asking each item."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from feature_store.item_schemas import Product
from serving.assortment.assortment import Assortment
from serving.body_faults import faults_of
from serving.errors import Fault
from serving.placements.conditions import Condition, Range, holds, unknown_fields

CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)
categories = st.lists(st.sampled_from(["wine", "beer", "tea"]), max_size=2, unique=True).map(tuple)
prices = st.one_of(st.none(), st.integers(0, 4).map(Decimal))
products = st.lists(st.tuples(categories, prices, st.sampled_from(["acme", None])), max_size=8)
ranges = st.fixed_dictionaries({}, optional={"min": st.integers(0, 4), "max": st.integers(0, 4)}).filter(
    lambda bounds: bounds and bounds.get("min", 0) <= bounds.get("max", 9)
)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "categories": st.lists(st.sampled_from(["wine", "tea", "cheese"]), min_size=1),
        "brand": st.just("acme"),
        "price": ranges,
    },
)


def stocked(items: list[tuple[tuple[str, ...], Decimal | None, str | None]]) -> Assortment:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put(
        Product(item_id=f"{n}", vertical="shop", categories=names, price=price, currency="EUR", brand=brand)
        for n, (names, price, brand) in enumerate(items)
    )
    return assortment


@given(products, conditions)
def test_a_condition_holds_for_those_that_each_field_lets_through(
    items: list[tuple[tuple[str, ...], Decimal | None, str | None]], condition: dict[str, object]
) -> None:
    def fits(names: tuple[str, ...], price: Decimal | None, brand: str | None) -> bool:
        bounds = condition.get("price")
        return (
            ("categories" not in condition or bool(set(names) & set(condition["categories"])))
            and ("brand" not in condition or brand == "acme")
            and (bounds is None or (price is not None and bounds.get("min", 0) <= price <= bounds.get("max", 9)))
        )

    assert holds(CONDITION.validate_python(condition), stocked(items)).tolist() == [fits(*item) for item in items]


def test_fields_that_nothing_has_are_told_and_so_are_numbers_where_names_are_asked_for() -> None:
    assortment = stocked([(("wine",), Decimal(3), None)])
    condition = CONDITION.validate_python({"colour": ["red"], "price": "3", "categories": {"min": 1}})
    assert unknown_fields(condition, assortment) == ["colour", "price", "categories"]
    assert not holds(condition, assortment).any()
    assert unknown_fields({"price": Range(min=1), "categories": ("wine",)}, assortment) == []


@pytest.mark.parametrize(
    "condition",
    [
        {"price": {}},
        {"price": {"min": 2, "max": 1}},
        {"price": {"min": float("nan")}},
        {"price": {"least": 1}},
        {"price": {"min": "2"}},
        {"categories": []},
        {"categories": [""]},
        {"categories": [7]},
        {"": ["x"]},
        {f"field-{n}": "x" for n in range(21)},
    ],
)
def test_what_is_no_condition_is_refused(condition: object) -> None:
    with pytest.raises(ValidationError):
        CONDITION.validate_python(condition)


@pytest.mark.parametrize(
    ("condition", "faults"),
    [
        ({"price": {"min": "cheap"}}, [Fault("#/price/min", "Input should be a valid number")]),
        ({"price": {"minimum": 3}}, [Fault("#/price/minimum", "there is no such field")]),
        ({"price": {}}, [Fault("#/price", "a range has a min, a max or both")]),
        ({"price": {"min": 5, "max": 1}}, [Fault("#/price", "the min of a range is at most its max")]),
        ({"brand": []}, [Fault("#/brand", "at least 1 of them")]),
        ({"brand": ["b", 5]}, [Fault("#/brand/1", "Input should be a valid string")]),
        ({"brand": 5}, [Fault("#/brand", "a name, an array of names, or an object with min, max or both is required")]),
    ],
)
def test_what_is_wrong_with_a_condition_is_told_once_and_of_the_kind_that_was_meant(
    condition: object, faults: list[Fault]
) -> None:
    with pytest.raises(ValidationError) as refused:
        CONDITION.validate_python(condition)
    assert faults_of(refused.value) == faults
