"""The shop of the serving benchmark: a checkpoint, a catalogue, people who met some of it, and what they ask.

Items come in groups of like ones, and a person likes a few groups, so that lists have something personal to find. The
placement has what `examples/placements/e-commerce.toml` has on its front page: sources, shares, caps, rules, diversity.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Int64Array
from feature_store.blend import BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.encryption import own_keys
from feature_store.fold_in import FoldInSettings
from feature_store.item_item import ItemItem
from feature_store.item_schemas import Product
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from serving.config import ServingConfig
from serving.indexes.choice import IndexName
from serving.placements.conditions import Range
from serving.placements.settings import Cap, Diversity, FreshSource, PersonalSource, Placement, Repeats, Rule

PATH = "/v1/placements/front-page:recommend"

_SEED = 8
_VERTICAL = "e-commerce"
_GROUPS = 300  # of like items
_GROUPS_LIKED = 3  # by a person
_BRANDS = 10  # of a group
_WITHIN = 0.6  # how far items lie from the middle of their group, by the length of that
_NEW = 100  # one of so many items is in the catalogue alone: the model does not know it
_ZIPF = 0.9  # popularity of the r-th item is proportional to r to the power of minus this
_BATCH = 1000  # events of one post, and items of one upsert
_CHEAPEST, _DEAREST = 1.0, 200.0
_KEEP_ALIVE = 600  # seconds: no connection of the load is idle for so long

FRONT_PAGE = Placement(
    vertical=_VERTICAL,
    repeats=Repeats(show={"categories": ("groceries", "pet-food")}),
    caps=(Cap(field="brand", most=3),),
    diversity=Diversity(method="mmr", weight=0.2),
    sources=(PersonalSource(), FreshSource(share=0.1)),
    rules=(
        Rule(name="What was recalled is not shown", when={"recalled": ("yes",)}, then="hide"),
        Rule(name="What costs little counts a fifth more", when={"price": Range(max=10.0)}, then="boost", factor=1.2),
        # In the example it has its season. Here it is always in force: figures are not to depend on the date.
        Rule(
            name="Advent calendars stand third, until they are of no use",
            when={"categories": ("advent-calendars",)},
            then="promote",
            position=3,
        ),
    ),
)


class Size(NamedTuple):
    """How large the shop is.

    items, dim: of the checkpoint.
    pairs: items that have item-item weights beside the vectors.
    people: with a history.
    events: of each person.
    store: where people are kept: in a SQLite file, or in the memory of the server.
    found_by: the index, as `ServingConfig.index` has it.
    """

    items: int = 100_000
    dim: int = 64
    pairs: int = 1000
    people: int = 1000
    events: int = 20
    store: str = "sqlite"
    found_by: IndexName = "auto"


class Shop:
    """A registry with one checkpoint in production, and a catalogue; all in one folder.

    vectors: the items', shape (items, dim); item_ids: theirs.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.item_ids = [_item(row) for row in range(size.items)]
        groups = _groups_of(size.items)
        self.vectors = _vectors(groups, size.dim)
        key = SigningKey.generate()
        self._trusted = folder / "trusted.pem"
        self._trusted.write_bytes(key.public.pem())
        registry = Registry(folder / "registry", TrustedKeys([key.public]))
        self.model_id = registry.publish(self._draft(), key).checkpoint_id
        registry.promote(self.model_id)
        asyncio.run(_fill(folder / "items.sqlite", _products(groups, size.items + size.items // _NEW)))
        self._histories = _histories(groups, size)

    def config(self, workers: int = 1) -> ServingConfig:
        """Of a server on it, of so many processes."""
        in_file, keys = self.size.store == "sqlite", self.folder / "store.keys"
        own_keys(keys)  # makes them
        return ServingConfig(
            registry=self.folder / "registry",
            trusted_keys=(self._trusted,),
            store=self.folder / "people.sqlite" if in_file else None,
            store_keys=keys if in_file else None,
            items=self.folder / "items.sqlite",
            placements={"front-page": FRONT_PAGE},
            index=self.size.found_by,
            port=0,
            workers=workers,
            keep_alive_seconds=_KEEP_ALIVE,
        )

    def tell_histories(self, post: Callable[[str, object], object]) -> None:
        """Tell a server what people did. post: sends a body to a path."""
        events = [
            {"event_id": f"h{place}", "user_id": f"person-{person}", "item_id": _item(row), "event": "view"}
            for person, rows in enumerate(self._histories.tolist())
            for place, row in enumerate(rows)
        ]
        for first in range(0, len(events), _BATCH):
            post("/v1/events", {"events": events[first : first + _BATCH]})

    def requests(self, selectivity: float, k: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Path and body of one request of each person.

        selectivity: the share of the catalogue that the filter of each lets through, by price; 1 is without a filter.
        """
        most = round(_CHEAPEST + selectivity * (_DEAREST - _CHEAPEST), 2)
        filters = {"filters": {"price": {"max": most}}} if selectivity < 1 else {}
        return [(PATH, {"user_id": f"person-{person}", "k": k, **filters}) for person in range(self.size.people)]

    def _draft(self) -> CheckpointDraft:
        items, pairs = self.size.items, self.size.pairs
        weights = np.random.default_rng([_SEED, 2]).normal(0.0, 0.01, (pairs, pairs)).astype(np.float32)
        counts = np.ceil(self.size.people * np.arange(1, items + 1) ** -_ZIPF)
        return CheckpointDraft(
            vocabulary=ItemVocabulary(self.item_ids),
            item_vectors=self.vectors,
            item_counts=counts.astype(np.float32),
            fold_in=FoldInSettings(0.1, 0.01),
            round_number=1,
            catalogues=one_catalogue(_VERTICAL, items),
            blend=BlendSettings(weight=0.5, people=self.size.people),
            item_item=ItemItem(np.arange(pairs, dtype=np.int32), weights) if pairs else None,
        )


def _item(row: int) -> str:
    return f"item-{row:06}"


def _groups_of(items: int) -> Int64Array:
    return np.random.default_rng([_SEED, 0]).integers(0, _GROUPS, items + items // _NEW)


def _vectors(groups: Int64Array, dim: int) -> Float32Array:
    """Of the items that the model knows: their groups' middles, and something of their own."""
    random = np.random.default_rng([_SEED, 1])
    middles = random.normal(0.0, 0.2, (_GROUPS, dim))
    known = groups[: len(groups) * _NEW // (_NEW + 1)]
    vectors: Float32Array = (middles[known] + random.normal(0.0, 0.2 * _WITHIN, (len(known), dim))).astype(np.float32)
    return vectors


def _histories(groups: Int64Array, size: Size) -> Int64Array:
    """Rows that each person met, shape (people, events); popular ones more often, and of few groups."""
    random = np.random.default_rng([_SEED, 3])
    chances = np.arange(1, size.items + 1) ** -_ZIPF
    members = [np.flatnonzero(groups[: size.items] == group) for group in range(_GROUPS)]
    found = [group for group in members if len(group)]
    met = np.empty((size.people, size.events), np.int64)
    for person in range(size.people):
        liked = np.concatenate([found[one] for one in random.integers(0, len(found), _GROUPS_LIKED)])
        met[person] = random.choice(liked, size.events, p=chances[liked] / chances[liked].sum())
    return met


def _products(groups: Int64Array, items: int) -> Iterator[Sequence[Product]]:
    """Batches of them. Prices are uniform, so that a highest price lets a known share through."""
    random = np.random.default_rng([_SEED, 4])
    cents = random.integers(round(100 * _CHEAPEST), round(100 * _DEAREST), items)
    brands, chances = random.integers(0, _BRANDS, items), random.random((items, 2))
    for first in range(0, items, _BATCH):
        yield [
            Product(
                item_id=_item(row),
                vertical=_VERTICAL,
                title=f"Product {row}",
                categories=(*_categories(float(chances[row, 0])), f"group-{groups[row]}"),
                labels={"recalled": ("yes",)} if chances[row, 1] < 0.01 else {},
                brand=f"brand-{groups[row]}-{brands[row]}",
                price=Decimal(int(cents[row])) / 100,
                currency="EUR",
                stock=row % 20,  # one of twenty is sold out
            )
            for row in range(first, min(first + _BATCH, items))
        ]


def _categories(chance: float) -> tuple[str, ...]:
    return ("advent-calendars",) if chance < 0.001 else ("groceries",) if chance < 0.05 else ()


async def _fill(file: Path, batches: Iterator[Sequence[Product]]) -> None:
    async with open_sqlite_items(file) as store:
        for batch in batches:
            await store.upsert(batch)
