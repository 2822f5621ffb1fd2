"""The world of the swap benchmark: made-up checkpoints of a realistic size, a catalogue, people who met some of it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
from serving.placements.settings import Placement
from serving.trial import TrialSettings

_SEED = 5
_VERTICAL = "e-commerce"
_BATCH = 1000  # events of one post, and items of one upsert
_ZIPF = 0.9  # popularity of the r-th item is proportional to r to the power of minus this
_KEEP_ALIVE = 600  # seconds: no connection of the load is idle for so long, so that none is closed under a request


class Size(NamedTuple):
    """How large the world is.

    items, dim: of each checkpoint.
    pairs: items that have item-item weights beside the vectors.
    people: with a history.
    events: of each person.
    has_catalogue: whether what can be shown is said by a catalogue of products in a SQLite file.
    store: where people are kept: in a SQLite file, or in the memory of the server.
    """

    items: int = 20_000
    dim: int = 64
    pairs: int = 1000
    people: int = 5000
    events: int = 20
    has_catalogue: bool = True
    store: str = "sqlite"


class World:
    """A registry with checkpoints that nobody has promoted yet, and a catalogue; all in one folder."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size, self.folder = size, folder
        self._key = SigningKey.generate()
        self._trusted = folder / "trusted.pem"
        self._trusted.write_bytes(self._key.public.pem())
        self.registry = Registry(folder / "registry", TrustedKeys([self._key.public]))
        self._published = 0
        if size.has_catalogue:
            asyncio.run(_fill(folder / "items.sqlite", size.items))

    def publish(self) -> str:
        """Another checkpoint, different from all before it; its id."""
        self._published += 1
        return self.registry.publish(_draft(self.size, self._published), self._key).checkpoint_id

    def config(self, name: str, trial: TrialSettings) -> ServingConfig:
        """Of a server on it, with people of its own under that name."""
        store = self.folder / f"{name}.sqlite" if self.size.store == "sqlite" else None
        keys = self.folder / "store.keys"
        own_keys(keys)  # makes them
        return ServingConfig(
            registry=self.registry.folder,
            trusted_keys=(self._trusted,),
            store=store,
            store_keys=None if store is None else keys,
            items=self.folder / "items.sqlite" if self.size.has_catalogue else None,
            placements={"home": Placement(vertical=_VERTICAL)},
            trial=trial,
            port=0,
            keep_alive_seconds=_KEEP_ALIVE,
        )

    def tell_histories(self, post: Callable[[str, object], object]) -> None:
        """Tell a server what people did. post: sends a body to a path."""
        events = [
            {"event_id": f"h{place}", "user_id": f"person-{person}", "item_id": _item(row), "event": "view"}
            for person, rows in enumerate(_histories(self.size))
            for place, row in enumerate(rows)
        ]
        for first in range(0, len(events), _BATCH):
            post("/v1/events", {"events": events[first : first + _BATCH]})


def _item(row: int) -> str:
    return f"item-{row:06}"


def _draft(size: Size, number: int) -> CheckpointDraft:
    """Item vectors without any meaning: each checkpoint's are others, and what is popular stays so."""
    random = np.random.default_rng([_SEED, number])
    counts = np.ceil(size.people * np.arange(1, size.items + 1) ** -_ZIPF)
    pairs = None
    if size.pairs:
        weights = random.normal(0.0, 0.01, (size.pairs, size.pairs)).astype(np.float32)
        pairs = ItemItem(np.arange(size.pairs, dtype=np.int32), weights)
    return CheckpointDraft(
        vocabulary=ItemVocabulary(_item(row) for row in range(size.items)),
        item_vectors=random.normal(0.0, 0.2, (size.items, size.dim)).astype(np.float32),
        item_counts=counts.astype(np.float32),
        fold_in=FoldInSettings(0.1, 0.01),
        round_number=number,
        catalogues=one_catalogue(_VERTICAL, size.items),
        blend=BlendSettings(weight=0.5, people=size.people),
        item_item=pairs,
    )


def _histories(size: Size) -> Iterator[Sequence[int]]:
    chances = np.arange(1, size.items + 1) ** -_ZIPF
    chances = np.cumsum(chances / chances.sum())
    for person in range(size.people):
        drawn = np.random.default_rng([_SEED, 0, person]).random(size.events)
        yield np.minimum(np.searchsorted(chances, drawn), size.items - 1).tolist()


def _products(items: int) -> Iterator[Product]:
    random = np.random.default_rng([_SEED, 1])
    for row in range(items):
        yield Product(
            item_id=_item(row),
            vertical=_VERTICAL,
            title=f"Product {row}",
            categories=(f"category-{row % 50}", f"group-{row % 12}"),
            brand=f"brand-{row % 300}",
            price=Decimal(int(random.integers(100, 20_000))) / 100,
            currency="EUR",
            stock=int(random.integers(1, 100)),
        )


async def _fill(file: Path, items: int) -> None:
    products = list(_products(items))
    async with open_sqlite_items(file) as store:
        for first in range(0, items, _BATCH):
            await store.upsert(products[first : first + _BATCH])
