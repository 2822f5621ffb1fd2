"""The kinds of values that fields of items have: times, money, names; each says what would be right.

What it says goes into replies, too, and so never holds the value itself: who reads a file adds that.

A time is written in RFC 3339 with its time zone, or as seconds since 1970, and kept as the latter.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from feature_store.currencies import CURRENCIES, LARGEST_MICROS, micros
from feature_store.errors import BadInput
from feature_store.events import LATEST_TIMESTAMP, require_id

LONGEST_TITLE = 2000  # characters
MOST_NAMES = 200  # of one item in one field
VERTICAL_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")  # as `hearth train --vertical` and placements have it

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TIME_IS = "a time is RFC 3339 with its time zone, such as 2026-03-01T08:00:00Z, or seconds since 1970"


def seconds(value: object) -> float:
    """A time as seconds since 1970; raises `ValueError`, which says what would be one."""
    if isinstance(value, datetime):  # of a Parquet column, in UTC where it names no zone
        number = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    elif isinstance(value, str) and not _NUMBER.fullmatch(value):
        number = _of_rfc_3339(value)
    elif isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool):
        number = float(value)
    else:
        raise ValueError(_TIME_IS)
    if number >= LATEST_TIMESTAMP:
        raise ValueError(f"this looks like milliseconds, a thousand times too many; {_TIME_IS}")
    if not number >= 0:
        raise ValueError(f"{_TIME_IS}, and not before 1970")
    return number


def text_names(value: object) -> object:
    """Names in one text, separated by `|`, as a tuple of different ones; anything else as it is."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(part for part in map(str.strip, value.split("|")) if part))
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return tuple(dict.fromkeys(value))
    return value


def text_targeting(value: object) -> object:
    """Targeting in one text, such as `country=DE|AT;device=phone`, as a mapping; anything else as it is."""
    if not isinstance(value, str):
        return value
    allowed: dict[str, object] = {}
    for part in filter(None, map(str.strip, value.split(";"))):
        key, sign, names = map(str.strip, part.partition("="))
        if not (key and sign and names) or key in allowed:
            raise ValueError(
                "targeting in a text is key=value|value, separated by ;, such as country=DE|AT;device=phone"
            )
        allowed[key] = text_names(names)
    return allowed


def plain(amount: Decimal) -> str:
    """The amount without an exponent and without noughts at its end, so that one amount is one text.

    >>> plain(Decimal("2.50")), plain(Decimal("1E+3"))
    ('2.5', '1000')
    """
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _of_rfc_3339(text: str) -> float:
    if not _RFC_3339.fullmatch(text):
        raise ValueError(_TIME_IS)
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except ValueError:
        raise ValueError(f"there is no such day, hour or zone; {_TIME_IS}") from None


def _as_id(text: str) -> str:
    try:
        require_id("it", text)
    except BadInput as error:
        raise ValueError(str(error)) from None
    return text


def _as_vertical(text: str) -> str:
    if not VERTICAL_NAME.fullmatch(text):
        raise ValueError("a vertical is named in small letters, digits and hyphens, such as e-commerce")
    return text


def _as_currency(text: str) -> str:
    if text not in CURRENCIES:
        meant = "; this is one but for blanks and small letters" if text.strip().upper() in CURRENCIES else ""
        raise ValueError(f"a currency is three capital letters of ISO 4217, such as EUR{meant}")
    return text


def _amount(value: object) -> Decimal:
    """Exact: a number in binary is taken as the shortest decimal that means it."""
    if isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool):
        try:
            amount = value if isinstance(value, Decimal) else Decimal(str(value).strip())
            whole = micros(amount)
            if whole >= 0:
                return Decimal(plain(Decimal(whole).scaleb(-6)))  # from micros: there is a -0, and 0E-99999999
        except (InvalidOperation, BadInput):
            pass
    raise ValueError(
        f"an amount of money is a decimal number such as 12.99, from 0 to {LARGEST_MICROS // 10**6:,}, with at most 6 "
        "decimal places and a point before them"
    )


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("a number is finite")
    return number


Id: TypeAlias = Annotated[str, AfterValidator(_as_id)]
Vertical: TypeAlias = Annotated[str, AfterValidator(_as_vertical)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_as_id)]
Names: TypeAlias = Annotated[tuple[Name, ...], BeforeValidator(text_names), Field(max_length=MOST_NAMES)]
Time: TypeAlias = Annotated[float, BeforeValidator(seconds)]
Currency: TypeAlias = Annotated[str, AfterValidator(_as_currency)]
Amount: TypeAlias = Annotated[Decimal, BeforeValidator(_amount), PlainSerializer(plain, return_type=str)]
Number: TypeAlias = Annotated[float, AfterValidator(_finite)]
Targeting: TypeAlias = Annotated[
    Mapping[Name, tuple[Name, ...]], BeforeValidator(text_targeting), Field(max_length=MOST_NAMES)
]
