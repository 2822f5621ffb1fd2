"""Items of every vertical: what each may say, what is refused and in which words, and that bytes give back the item."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feature_store.currencies import LARGEST_MICROS, MICROS, micros
from feature_store.errors import BadInput, CorruptStore
from feature_store.item_schemas import (
    Ad,
    Article,
    PlainItem,
    Post,
    Product,
    item_from_bytes,
    item_of,
    item_to_bytes,
    names_and_numbers,
)

PRODUCT = {"item_id": "1", "price": "2.50", "currency": "EUR"}
ARTICLE = {"item_id": "1", "published": 1000}
POST = {"item_id": "1", "author": "ada", "created": 1000}
AD = {"item_id": "1", "advertiser": "acme", "bid": "0.50", "currency": "EUR"}


def product(**values: object) -> Product:
    made = item_of({**PRODUCT, **values}, vertical="e-commerce")
    assert isinstance(made, Product)
    return made


def article(**values: object) -> Article:
    made = item_of({**ARTICLE, **values}, vertical="news")
    assert isinstance(made, Article)
    return made


def ad(**values: object) -> Ad:
    made = item_of({**AD, **values}, vertical="ads")
    assert isinstance(made, Ad)
    return made


def test_the_vertical_says_what_type_an_item_is_and_another_may_be_chosen() -> None:
    assert isinstance(product(), Product)
    assert isinstance(article(), Article)
    assert isinstance(item_of(POST, vertical="social"), Post)
    assert isinstance(ad(), Ad)
    assert isinstance(item_of({"item_id": "1"}, vertical="films"), PlainItem)
    assert isinstance(item_of(PRODUCT, vertical="groceries", type_name="product"), Product)


@pytest.mark.parametrize(
    ("vertical", "values", "message"),
    [
        ("films", {}, "an item without item_id: item_id is missing"),
        (
            "films",
            {"item_id": "1", "colour": "red"},
            "item '1': colour is no field of an item of type item; its fields",
        ),
        ("films", {"item_id": "x" * 257}, "item_id: it has 1 to 256 characters; got 257"),
        ("films", {"item_id": "1", "type": "film"}, "type 'film' is not known; the types are: item, product"),
        ("films", {"item_id": "1", "title": "\ud800"}, "title"),
        ("Films", {"item_id": "1"}, "vertical: a vertical is named in small letters, digits and hyphens"),
        ("films", {"item_id": "1", "numbers": {"weight": "inf"}}, "numbers.weight: a number is finite; got 'inf'"),
        ("e-commerce", {**PRODUCT, "price": "-0.01"}, "item '1': price: an amount of money is a decimal number"),
        ("e-commerce", {**PRODUCT, "price": "12,99"}, "got '12,99'"),
        ("e-commerce", {**PRODUCT, "price": "0.0000001"}, "at most 6 decimal places"),
        ("e-commerce", {**PRODUCT, "price": "NaN"}, "price: an amount of money"),
        ("e-commerce", {**PRODUCT, "price": True}, "price: an amount of money"),
        ("e-commerce", {**PRODUCT, "price": "1e11"}, "from 0 to 9,007,199,254"),
        ("e-commerce", {**PRODUCT, "price": "1E+99999999"}, "from 0 to 9,007,199,254"),
        ("e-commerce", {**PRODUCT, "price": "-1E+99999999"}, "from 0 to 9,007,199,254"),
        ("e-commerce", {**PRODUCT, "price": "1E-99999999"}, "at most 6 decimal places"),
        ("e-commerce", {"item_id": "1", "price": "1"}, "item '1': currency is missing: a price is in one"),
        (
            "e-commerce",
            {**PRODUCT, "currency": "eur"},
            "currency: a currency is three capital letters of ISO 4217, such",
        ),
        ("e-commerce", {**PRODUCT, "currency": "eur"}, "but for blanks and small letters; got 'eur'"),
        ("e-commerce", {**PRODUCT, "currency": "XYZ"}, "such as EUR; got 'XYZ'"),
        ("e-commerce", {**PRODUCT, "stock": -1}, "stock: Input should be greater than or equal to 0; got -1"),
        ("e-commerce", {**PRODUCT, "stock": "2.5"}, "stock: Input should be a valid integer"),
        ("news", {"item_id": "1"}, "published is missing; an item of type article has one"),
        ("news", {**ARTICLE, "published": 1507833476000}, "published: this looks like milliseconds"),
        ("news", {**ARTICLE, "published": "1507833476123"}, "milliseconds, a thousand times too many; a time is"),
        ("news", {**ARTICLE, "published": "2026-03-01"}, "RFC 3339 with its time zone"),
        ("news", {**ARTICLE, "published": "2026-03-01T08:00:00"}, "RFC 3339 with its time zone"),
        ("news", {**ARTICLE, "published": "2026-02-30T08:00:00Z"}, "day"),
        ("news", {**ARTICLE, "published": -1}, "not before 1970; got -1"),
        ("news", {**ARTICLE, "published": True}, "published: a time is"),
        ("news", {**ARTICLE, "expires": 1000}, "item '1': expires comes after published"),
        ("social", {**POST, "visibility": "friends"}, "visibility: Input should be 'public', 'followers' or 'private'"),
        ("social", {"item_id": "1", "created": 5}, "author is missing"),
        ("ads", {**AD, "bid": "0"}, "bid is above 0"),
        ("ads", {**AD, "budget": "0.49"}, "budget pays for one bid at least"),
        ("ads", {**AD, "daily_budget": "0.49"}, "daily_budget pays for one bid at least"),
        ("ads", {**AD, "starts": 10, "ends": 10}, "ends comes after starts"),
        ("ads", {**AD, "targeting": "DE"}, "targeting in a text is key=value|value"),
        ("ads", {**AD, "targeting": "land=DE;land=AT"}, "targeting in a text is key=value|value"),
        ("ads", {**AD, "safety": "safe"}, "safety: Input should be 'general', 'sensitive', 'restricted' or 'unrated'"),
        ("ads", {**AD, "frequency_cap": 0}, "frequency_cap: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    vertical: str, values: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        item_of(values, vertical=vertical)


def test_an_error_does_not_repeat_all_of_a_long_value() -> None:
    with pytest.raises(BadInput, match=r"xxx\.\.\. \(3,002 characters\)$"):
        item_of({"item_id": "1", "title": "x" * 3000}, vertical="films")


def test_what_is_not_said_is_not_there() -> None:
    assert product(price="", currency=None, stock="").stock is None
    assert product(price=None, currency="EUR").price is None


def test_prices_are_exact_however_they_are_written() -> None:
    for written in ("0.10", 0.1, Decimal("0.1"), " 0.1 ", "1e-1"):
        assert product(price=written).price == Decimal("0.1")
        assert item_to_bytes(product(price=written)) == item_to_bytes(product(price="0.1"))
    assert product(price=7).price == 7
    for nothing in ("0", "-0.00", "0E+99999999", "0E-99999999"):
        assert item_to_bytes(product(price=nothing)) == item_to_bytes(product(price=0))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-03-01T08:00:00Z", 1772352000.0),
        ("2026-03-01t09:30:00.25+01:30", 1772352000.25),
        (1772352000, 1772352000.0),
        ("1772352000.5", 1772352000.5),
        (datetime(2026, 3, 1, 8, tzinfo=UTC), 1772352000.0),
        (datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=2))), 1772352000.0),
        (datetime(2026, 3, 1, 8), 1772352000.0),  # noqa: DTZ001 - as Parquet gives it
        (0, 0.0),
    ],
)
def test_times_are_seconds_however_they_are_written(written: object, seconds: float) -> None:
    assert article(published=written).published == seconds


def test_an_article_is_current_from_its_publication_until_it_expires() -> None:
    one = article(published=10, expires=20)
    assert [one.current_at(now) for now in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert article(published=10).current_at(1e10)


def test_an_ad_is_in_flight_between_its_start_and_its_end() -> None:
    one = ad(starts=10, ends=20)
    assert [one.in_flight_at(now) for now in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert ad().in_flight_at(0)
    assert ad().in_flight_at(1e10)


def test_an_ad_reaches_requests_that_say_what_it_asks_for() -> None:
    one = ad(targeting="land=DE|AT;device=phone")
    assert one.reaches({"land": "AT", "device": "phone", "age": "9"})
    assert not one.reaches({"land": "AT"})
    assert not one.reaches({"land": "CH", "device": "phone"})
    assert ad().reaches({})


def test_an_ad_pays_from_its_campaign_or_from_its_own_budget() -> None:
    assert ad(campaign="spring").pays_from == "spring"
    assert ad().pays_from == "1"


def test_a_product_that_nobody_counts_can_be_sold() -> None:
    assert [product(stock=stock).in_stock for stock in (None, 1, 0)] == [True, True, False]


def test_an_item_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        product().stock = 3  # type: ignore[misc]  # that is what is tried


def test_names_are_distinct_and_in_their_order() -> None:
    assert product(categories="tea| green ||tea").categories == ("tea", "green")
    assert product(categories=["a|b", "c", "a|b"]).categories == ("a|b", "c")


def test_a_tower_is_told_names_and_numbers() -> None:
    told = names_and_numbers(product(brand="B", labels={"maker": ["9"]}, numbers={"weight": 2}))
    assert told == ({"maker": ("9",), "brand": ("B",)}, {"weight": 2.0, "price": 2.5})
    assert names_and_numbers(article(topic="t", source="s")) == ({"topic": ("t",), "source": ("s",)}, {})


def test_bytes_that_are_no_item_are_refused() -> None:
    for content in (b"", b"{}", b'{"type":"item"}', b'{"type":"film","item_id":"1","vertical":"films"}'):
        with pytest.raises(CorruptStore, match=f"{len(content)} bytes are no item"):
            item_from_bytes(content)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
amounts = st.integers(1, LARGEST_MICROS).map(lambda number: Decimal(number) / MICROS)


@given(
    amount=amounts,
    stock=st.none() | st.integers(0, 2**53 - 1),
    title=st.text(st.characters(codec="utf-8")),
    brand=names,
)
def test_a_product_is_what_its_bytes_say(amount: Decimal, stock: int | None, title: str, brand: str) -> None:
    one = product(price=amount, stock=stock, title=title, brand=brand, labels={brand: [brand]}, numbers={brand: 0.1})
    assert one.price == amount
    assert item_from_bytes(item_to_bytes(one)) == one


@given(
    start=st.floats(0, 1e10), length=st.floats(1, 1e9), targeting=st.dictionaries(names, st.lists(names, min_size=1))
)
def test_an_ad_is_what_its_bytes_say(start: float, length: float, targeting: dict[str, list[str]]) -> None:
    one = ad(starts=start, ends=start + length, targeting=targeting, safety="general", budget="9000000000.000001")
    assert item_from_bytes(item_to_bytes(one)) == one


@given(number=st.integers(-LARGEST_MICROS, LARGEST_MICROS))
def test_micros_of_an_amount_are_exact(number: int) -> None:
    assert micros(Decimal(number).scaleb(-6)) == number


@pytest.mark.parametrize("amount", ["0.0000001", "9007199254.740992", "NaN", "Infinity", f"1.{'0' * 40}1", "1e999999"])
def test_what_has_no_micros_is_refused(amount: str) -> None:
    with pytest.raises(BadInput, match="at most 6 decimal places"):
        micros(Decimal(amount))
