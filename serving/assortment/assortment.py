"""An assortment: the items of one vertical that can be shown, as a server knows them at this moment.

Places 0 to known - 1 are the model's items, in the order of its shelf; behind them are items that only the catalogue
has, in the order they came: a new article has a place, and no vector yet. Nothing ever moves to another place, so that
a place means the same from the first step of a request to its last; a change of the model makes another assortment.

It is written to between requests by who follows the catalogue (`serving.assortment.following`), on the same event loop,
and a request does not wait within: so each sees one state of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float64Array, Int32Array
from feature_store.item_schemas import Ad, Article, Post, Product, StoredItem
from serving.assortment.columns import Column, NamesColumn
from serving.assortment.kept_masks import KeptMasks
from serving.shelf import Shelf

_ONE_NAME = ("brand", "topic", "source", "author", "visibility", "advertiser", "campaign", "safety")

ANCIENT, NEVER = float("-inf"), float("inf")  # since and until when what has no time can be shown


class _Open(NamedTuple):
    """What can be shown from one time up to another, those of one version of the assortment."""

    mask: BoolArray
    version: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Times:
    """When an item can be shown, in seconds since 1970: from `opens`, before `closes`; and since when it is there."""

    opens: float = ANCIENT
    closes: float = NEVER
    appeared: float | None = None


class Assortment:
    """What can be shown of one vertical.

    shelf: the model's items of the vertical and what retrieves from them; None where the model has none of it.
    item_ids: of the model's items, in the order of the shelf.
    has_catalogue: whether what can be shown is for the catalogue to say; without one, it is all that the model has.

    Its `is_stale` says whether the catalogue could not be read the last time: it may have changed since. Its `kept` are
    masks of its places, for as long as its `version` stays.
    """

    def __init__(self, shelf: Shelf | None, item_ids: Sequence[str], *, has_catalogue: bool) -> None:
        self.shelf = shelf
        self.known = len(item_ids)
        self.has_catalogue = has_catalogue
        self.is_stale = False
        self.version = 0
        self.kept = KeptMasks()
        self._open: dict[bool, _Open] = {}
        self._item_ids = list(item_ids)
        self._items: list[StoredItem | None] = [None] * self.known
        self._places: dict[str, int] = {item_id: place for place, item_id in enumerate(item_ids)}
        self._listed: Column[np.bool_] = Column(self.known, np.bool_(not has_catalogue))
        self._stocked: Column[np.bool_] = Column(self.known, np.True_)
        self._opens = Column(self.known, np.float64(ANCIENT))
        self._closes = Column(self.known, np.float64(NEVER))
        self._appeared = Column(self.known, np.float64(np.nan))
        self._names: dict[str, NamesColumn] = {}
        self._numbers: dict[str, Column[np.float64]] = {}

    def __len__(self) -> int:
        return len(self._item_ids)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._places

    def item_id(self, place: int) -> str:
        """The id of the item at that place."""
        return self._item_ids[place]

    def item(self, place: int) -> StoredItem | None:
        """What the catalogue says of the item at that place; None where it says nothing."""
        return self._items[place]

    def place(self, item_id: str) -> int | None:
        """Where the item is; None for one that neither the model nor the catalogue has ever had."""
        return self._places.get(item_id)

    def places(self, item_ids: Iterable[str]) -> Int32Array:
        """The places of those of the items that have one, each once, in ascending order."""
        found = map(self._places.get, item_ids)
        return np.array(sorted({place for place in found if place is not None}), np.int32)

    def places_of_rows(self, rows: Int32Array) -> Int32Array:
        """Where those rows of the model's vocabulary stand that are of this vertical."""
        return np.empty(0, np.int32) if self.shelf is None else self.shelf.places(rows)

    def open_at(self, now: float, *, in_stock: bool = False) -> BoolArray:
        """Which items can be shown at that time (seconds since 1970), shape (places,), a new array.

        in_stock: leave out, too, what cannot be sold.
        """
        if not self.has_catalogue:
            return self._listed.values.copy()
        found = self._open.get(in_stock)
        if found is None or found.version != self.version or not found.since <= now < found.until:
            found = self._open[in_stock] = self._opened(now, in_stock=in_stock)
        return found.mask.copy()

    def _opened(self, now: float, *, in_stock: bool) -> _Open:
        """What can be shown then, and up to when that stays so where the catalogue does."""
        opens, closes = self._opens.values, self._closes.values
        mask: BoolArray = self._listed.values & (opens <= now) & (now < closes)
        if in_stock:
            mask &= self._stocked.values
        next_opens = opens.min(where=opens > now, initial=NEVER)
        next_closes = closes.min(where=closes > now, initial=NEVER)
        return _Open(mask, self.version, now, float(min(next_opens, next_closes)))

    @property
    def appeared(self) -> Float64Array:
        """Since when each item is there (an article published, a post created), NaN where nobody said."""
        return self._appeared.values

    def names(self, field: str) -> NamesColumn | None:
        """A column of names: categories, brand, topic, source, author, advertiser, campaign, or a label's."""
        return self._names.get(field)

    def numbers(self, field: str) -> Float64Array | None:
        """A column of numbers: price, stock, bid, or one of the catalogue's own; NaN where an item has none."""
        column = self._numbers.get(field)
        return None if column is None else column.values

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that there are."""
        return (*self._names, *self._numbers)

    def items(self) -> list[StoredItem]:
        """All that the catalogue says, by place."""
        return [item for item in self._items if item is not None]

    def put(self, items: Iterable[StoredItem]) -> None:
        """Take in what the catalogue says of these items now."""
        for item in items:
            place = self._place_for(item.item_id)
            self._items[place] = item
            self._listed.put(place, value=True)
            self._stocked.put(place, not isinstance(item, Product) or item.in_stock)
            times = times_of(item)
            self._opens.put(place, times.opens)
            self._closes.put(place, times.closes)
            self._appeared.put(place, times.appeared)
            self._put_names(place, item_names(item))
            self._put_numbers(place, item_numbers(item))
        self.version += 1

    def remove(self, item_ids: Iterable[str]) -> None:
        """The catalogue has these items no more: they keep their places, and are not shown."""
        for item_id in item_ids:
            place = self._places.get(item_id)
            if place is not None:
                self._items[place] = None
                self._listed.put(place, value=False)
                self._put_names(place, {})
                self._put_numbers(place, {})
        self.version += 1

    def _place_for(self, item_id: str) -> int:
        place = self._places.get(item_id)
        if place is None:
            place = self._places[item_id] = len(self._item_ids)
            self._item_ids.append(item_id)
            self._items.append(None)
            columns: list[Column[np.bool_] | Column[np.float64] | NamesColumn] = [self._listed, self._stocked]
            columns += [self._opens, self._closes, self._appeared, *self._names.values(), *self._numbers.values()]
            for column in columns:
                column.grow(place + 1)
        return place

    def _put_names(self, place: int, names: Mapping[str, Sequence[str]]) -> None:
        for field in names:
            if field not in self._names:
                self._names[field] = NamesColumn(len(self))
        for field, column in self._names.items():
            column.put(place, names.get(field, ()))

    def _put_numbers(self, place: int, numbers: Mapping[str, float]) -> None:
        for field in numbers:
            if field not in self._numbers:
                self._numbers[field] = Column(len(self), np.float64(np.nan))
        for field, column in self._numbers.items():
            column.put(place, numbers.get(field))


def times_of(item: StoredItem) -> Times:
    """When an item of its type can be shown."""
    if isinstance(item, Article):
        return Times(item.published, NEVER if item.expires is None else item.expires, item.published)
    if isinstance(item, Post):
        return Times(item.created, NEVER, item.created)
    if isinstance(item, Ad):
        starts = ANCIENT if item.starts is None else item.starts
        return Times(starts, NEVER if item.ends is None else item.ends, item.starts)
    return Times()


def item_names(item: StoredItem) -> dict[str, tuple[str, ...]]:
    """The fields of names that an item has, its labels included."""
    own = {field: (value,) for field in _own_names(type(item)) if isinstance(value := getattr(item, field), str)}
    categories = {"categories": item.categories} if item.categories else {}
    return {**item.labels, **categories, **own}


@cache
def _own_names(kind: type[StoredItem]) -> tuple[str, ...]:
    """The fields of one name that items of that type have. To ask an item for one that it has not takes 10 µs."""
    return tuple(field for field in _ONE_NAME if field in kind.model_fields)


def item_numbers(item: StoredItem) -> dict[str, float]:
    """The fields of numbers that an item has, its further columns included."""
    numbers = dict(item.numbers)
    if isinstance(item, Product):
        if item.price is not None:
            numbers["price"] = float(item.price)
        if item.stock is not None:
            numbers["stock"] = float(item.stock)
    if isinstance(item, Ad):
        numbers["bid"] = float(item.bid)
    return numbers
