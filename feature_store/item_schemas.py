"""What an item is, by vertical: the fields of a product, an article, a post and an ad, and of an item of any other.

    StoredItem                 what every item has
    ├── PlainItem ("item")     any other vertical
    ├── Product ("product")    e-commerce
    ├── Article ("article")    news
    ├── Post ("post")          social
    └── Ad ("ad")              ads

Items are values of one catalogue and say nothing of people, so stores keep them as they are. All are frozen.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from feature_store.errors import BadInput, UnreadableItem
from feature_store.item_fields import (
    LONGEST_TITLE,
    Amount,
    Currency,
    Id,
    Name,
    Names,
    Number,
    Targeting,
    Time,
    Vertical,
)

Visibility: TypeAlias = Literal["public", "followers", "private"]
SafetyClass: TypeAlias = Literal["general", "sensitive", "restricted", "unrated"]
ItemType: TypeAlias = Literal["item", "product", "article", "post", "ad"]


class StoredItem(BaseModel):
    """What every item has. Items are of the types below.

    labels: of each further column of names those of this item.
    numbers: of each further column of numbers that of this item.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    type: ItemType
    item_id: Id
    vertical: Vertical
    title: str = Field(default="", max_length=LONGEST_TITLE)
    categories: Names = ()
    labels: Mapping[Name, Names] = Field(default_factory=dict)
    numbers: Mapping[Name, Number] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_half_characters(self) -> Self:
        try:
            self.title.encode()
        except UnicodeEncodeError:  # JSON can carry half of a surrogate pair; no store can write it
            raise ValueError("title is text that UTF-8 can write; got half of a surrogate pair") from None
        return self


class PlainItem(StoredItem):
    """An item of a vertical that has no type of its own, such as films."""

    type: Literal["item"] = "item"


class Product(StoredItem):
    """Something for sale.

    price: exact; absent where it is not known, which no filter on prices lets through.
    stock: pieces at hand; absent where nobody counts them, and then it can be sold.
    """

    type: Literal["product"] = "product"
    price: Amount | None = None
    currency: Currency | None = None
    stock: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    brand: Name | None = None

    @model_validator(mode="after")
    def _a_price_has_a_currency(self) -> Self:
        if self.price is not None and self.currency is None:
            raise ValueError("currency is missing: a price is in one, such as EUR")
        return self

    @property
    def in_stock(self) -> bool:
        """Whether it can be sold."""
        return self.stock is None or self.stock > 0


class Article(StoredItem):
    """A piece of news. published, expires: seconds since 1970; from `expires` on nobody is shown it."""

    type: Literal["article"] = "article"
    published: Time
    expires: Time | None = None
    topic: Name | None = None
    source: Name | None = None

    @model_validator(mode="after")
    def _expires_after_it_is_published(self) -> Self:
        if self.expires is not None and not self.expires > self.published:
            raise ValueError("expires comes after published")
        return self

    def current_at(self, now: float) -> bool:
        """Whether it is published and has not expired, in seconds since 1970."""
        return self.published <= now and (self.expires is None or now < self.expires)


class Post(StoredItem):
    """What somebody shows others. followers: who follows the author, and friends; private: the author alone."""

    type: Literal["post"] = "post"
    author: Id
    created: Time
    visibility: Visibility = "public"


class Ad(StoredItem):
    """An ad of a campaign.

    campaign: whose budgets it spends; absent: its own, under its item id.
    bid: what a click is worth to the advertiser.
    budget, daily_budget: of the campaign, in the same currency; absent: none.
    starts, ends: of its flight, in seconds since 1970; absent: at once, and never.
    targeting: key -> the values that a request may have there; a key not named lets everything through.
    safety: "unrated" is shown nowhere that asks for brand safety.
    frequency_cap, frequency_hours: how often one person may see it in how many hours, at most.
    """

    type: Literal["ad"] = "ad"
    advertiser: Id
    campaign: Id | None = None
    bid: Amount
    currency: Currency
    budget: Amount | None = None
    daily_budget: Amount | None = None
    starts: Time | None = None
    ends: Time | None = None
    targeting: Targeting = Field(default_factory=dict)
    safety: SafetyClass = "unrated"
    frequency_cap: Annotated[int, Field(ge=1, le=1000)] | None = None
    frequency_hours: Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)] = 24.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.bid > 0:
            raise ValueError("bid is above 0: it is what a click is worth")
        for name, budget in (("budget", self.budget), ("daily_budget", self.daily_budget)):
            if budget is not None and budget < self.bid:
                raise ValueError(f"{name} pays for one bid at least")
        if self.starts is not None and self.ends is not None and not self.ends > self.starts:
            raise ValueError("ends comes after starts")
        return self

    @property
    def pays_from(self) -> str:
        """Id of the campaign whose budgets it spends."""
        return self.campaign or self.item_id

    def in_flight_at(self, now: float) -> bool:
        """Whether its flight has begun and not ended, in seconds since 1970."""
        return (self.starts is None or self.starts <= now) and (self.ends is None or now < self.ends)

    def reaches(self, request: Mapping[str, str]) -> bool:
        """Whether it is meant for a request with these values; what a request does not say is no match."""
        return all(request.get(key) in allowed for key, allowed in self.targeting.items())


TYPES: Mapping[ItemType, type[StoredItem]] = MappingProxyType(
    {"item": PlainItem, "product": Product, "article": Article, "post": Post, "ad": Ad}
)
TYPE_OF_VERTICAL: Mapping[str, ItemType] = MappingProxyType(
    {"e-commerce": "product", "news": "article", "social": "post", "ads": "ad"}
)
_ANY: TypeAdapter[StoredItem] = TypeAdapter(
    Annotated[PlainItem | Product | Article | Post | Ad, Field(discriminator="type")]
)


def type_of(vertical: str) -> ItemType:
    """The type of a vertical's items, as far as its name says: of one that is not known, "item"."""
    return TYPE_OF_VERTICAL.get(vertical, "item")


def item_of(values: Mapping[str, object], *, vertical: str | None = None, type_name: str | None = None) -> StoredItem:
    """The item that these values are; a field whose value is None or empty text is not given.

    Args:
        values: field -> value, as JSON or a table has it.
        vertical: where the values do not say.
        type_name: where the values do not say; of the vertical where this does not either.

    Raises:
        BadInput: they are none; the message names the item, the field, the value, and what would be right.
    """
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    given.setdefault("vertical", vertical)
    chosen = given.setdefault("type", type_name or type_of(str(given["vertical"])))
    if chosen not in get_args(ItemType):
        raise BadInput(f"{_named(given)}: type {chosen!r} is not known; the types are: {', '.join(get_args(ItemType))}")
    model = TYPES[chosen]  # type: ignore[index]  # it has just been looked at
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise BadInput(f"{_named(given)}: {_first_fault(model, error)}") from None


def item_to_bytes(item: StoredItem) -> bytes:
    """The item as JSON. The same item is the same bytes, so that a store can tell whether it changed."""
    return f'{{"type":"{item.type}",{item.model_dump_json(exclude_defaults=True)[1:]}'.encode()


def item_from_bytes(content: object) -> StoredItem:
    """The item, as `item_to_bytes` was given it; raises `UnreadableItem`."""
    if not isinstance(content, (bytes, str)):  # a cell of a database may hold anything
        raise UnreadableItem(f"a value of type {type(content).__name__} is no item; an item is JSON")
    try:
        return _ANY.validate_json(content)
    except ValidationError as error:
        raise UnreadableItem(
            f"{len(content)} bytes are no item as this Hearth writes it: {error.errors()[0]['msg']}"
        ) from error


def _named(given: Mapping[str, object]) -> str:
    item_id = given.get("item_id")
    return f"item {_shown(item_id)}" if item_id is not None else "an item without item_id"


def _first_fault(model: type[StoredItem], error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{field} is missing; an item of type {_type(model)} has one"
    if fault["type"] == "extra_forbidden":
        fields = ", ".join(model.model_fields)
        return f"{field} is no field of an item of type {_type(model)}; its fields are: {fields}"
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{field}: {reason}; got {_shown(fault['input'])}" if field else reason


def _type(model: type[StoredItem]) -> str:
    return str(model.model_fields["type"].default)


def _shown(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= 80 else f"{text[:80]}... ({len(text):,} characters)"


def names_and_numbers(item: StoredItem) -> tuple[dict[str, tuple[str, ...]], dict[str, float]]:
    """What an item tower can learn from, besides title and categories: columns of names, and of numbers."""
    own: Sequence[tuple[str, object]] = [
        (name, getattr(item, name))
        for name in ("brand", "topic", "source", "author", "advertiser")
        if hasattr(item, name)
    ]
    labels = {**item.labels, **{name: (value,) for name, value in own if isinstance(value, str)}}
    numbers = dict(item.numbers)
    if isinstance(item, Product) and item.price is not None:
        numbers["price"] = float(item.price)
    return labels, numbers
