"""A sweep after a new checkpoint: everybody is folded in anew, once, while the old version keeps its embeddings."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import pytest

from feature_store.checkpoint import Checkpoint
from feature_store.embedding import UserEmbedding
from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.events import Event
from feature_store.fold_in import FoldInSettings
from feature_store.manifest import CheckpointManifest
from feature_store.memory import InMemoryEventStore, InMemoryUserEmbeddingStore, open_memory
from feature_store.met import MetItems
from feature_store.refold import Refolded, refold
from feature_store.rights import erase_person
from feature_store.stores import LocalStores
from feature_store.vocabulary import ItemVocabulary

PEOPLE = [f"person-{number}" for number in range(25)]


def checkpoint(name: str, seed: int) -> Checkpoint:
    """Of six items; what else stands in a manifest does not matter here."""
    vectors = np.random.default_rng(seed).normal(size=(6, 3)).astype(np.float32)
    manifest = CheckpointManifest.model_construct(checkpoint_id=name, fold_in=FoldInSettings(0.5, 0.1))
    counts = np.ones(6, np.float32)
    return Checkpoint(manifest, ItemVocabulary([f"item-{i}" for i in range(6)]), vectors, vectors.T @ vectors, counts)


OLD, NEW = checkpoint("old", 1), checkpoint("new", 2)


def event(person: int, item: int) -> Event:
    return Event(f"e-{person}-{item}", f"person-{person}", f"item-{item}", "click", 1000.0 + item)


async def lived_in() -> LocalStores:
    """Everybody has done something, and has an embedding for the old checkpoint."""
    stores = open_memory()
    await stores.events.put([event(person, (person + step) % 6) for person in range(25) for step in (0, 1, 3)])
    assert await refold(stores, OLD) == Refolded(people=25, folded=25)
    return stores


def test_everybody_is_folded_in_from_their_own_history_and_the_old_embeddings_stay() -> None:
    async def run() -> None:
        stores = await lived_in()
        before = await stores.embeddings.get_many(PEOPLE, "old")
        assert await refold(stores, NEW, batch=7) == Refolded(people=25, folded=25)
        for person, embedding in zip(PEOPLE, await stores.embeddings.get_many(PEOPLE, "new"), strict=True):
            met = await stores.events.met(person)
            expected = NEW.fold_in(NEW.vocabulary.known_rows(met.item_ids), met.watermark)
            assert embedding is not None
            assert embedding.watermark == met.watermark
            np.testing.assert_allclose(embedding.vector, expected.vector, rtol=1e-4, atol=1e-6)
        assert await stores.embeddings.get_many(PEOPLE, "old") == before

    asyncio.run(run())


def test_whoever_is_up_to_date_is_left_alone_and_whoever_has_done_more_is_not() -> None:
    async def run() -> None:
        stores = await lived_in()
        assert await refold(stores, OLD) == Refolded(people=25)
        await stores.events.put([event(3, 5), event(8, 0)])
        before = await stores.embeddings.get("person-3", "old")
        assert await refold(stores, OLD) == Refolded(people=25, folded=2)
        assert await stores.embeddings.get("person-3", "old") != before

    asyncio.run(run())


def test_people_without_a_positive_item_have_no_embedding_made() -> None:
    async def run() -> None:
        stores = open_memory()
        await stores.events.put([Event("e", "ada", "item-1", "hide", 5.0)])
        assert await refold(stores, NEW) == Refolded(people=1)
        assert await stores.embeddings.get("ada", "new") is None

    asyncio.run(run())


class Damaged(InMemoryEventStore):
    """A store in which the value of one person is damaged, so that a call which is about that person fails."""

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        if "person-4" in user_ids:
            raise CorruptStore("damaged")
        return await super().met_many(user_ids)


class Away(InMemoryUserEmbeddingStore):
    """A store that cannot be read."""

    async def get_many(self, user_ids: Sequence[str], checkpoint_id: str) -> list[UserEmbedding | None]:
        raise StoreUnavailable("gone")


class ReadOnly(InMemoryUserEmbeddingStore):
    """A store that is full."""

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        raise StoreUnavailable("full")


def test_a_damaged_value_costs_the_one_whom_it_is_about_and_nobody_else() -> None:
    async def run() -> None:
        stores = LocalStores(Damaged(), InMemoryUserEmbeddingStore())
        await stores.events.put([event(person, person % 6) for person in range(25)])
        assert await refold(stores, NEW, batch=10) == Refolded(people=25, folded=24, failed=1)
        found = await stores.embeddings.get_many(PEOPLE, "new")
        assert [number for number, embedding in enumerate(found) if embedding is None] == [4]

    asyncio.run(run())


class Unnamed(InMemoryEventStore):
    """A store that tells at the end that somebody cannot be named."""

    async def user_ids(self) -> AsyncIterator[str]:
        async for user_id in super().user_ids():
            yield user_id
        raise CorruptStore("one id is damaged")


def test_everybody_who_can_be_named_is_folded_in_and_one_who_cannot_is_counted_as_failed() -> None:
    async def run() -> None:
        stores = LocalStores(Unnamed(), InMemoryUserEmbeddingStore())
        await stores.events.put([event(person, person % 6) for person in range(25)])
        assert await refold(stores, NEW, batch=10) == Refolded(people=26, folded=25, failed=1)
        assert None not in await stores.embeddings.get_many(PEOPLE, "new")

    asyncio.run(run())


class Interrupted(InMemoryUserEmbeddingStore):
    """A store that lets somebody be erased, everywhere, just before it keeps what was folded in."""

    def __init__(self, events: InMemoryEventStore, erased: str) -> None:
        super().__init__()
        self._events, self._erased = events, erased

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        assert (await erase_person(LocalStores(self._events, self), self._erased)).is_complete
        await super().put_many(embeddings)


def test_of_somebody_who_is_erased_while_being_folded_in_no_embedding_stays() -> None:
    async def run() -> None:
        events = InMemoryEventStore()
        stores = LocalStores(events, Interrupted(events, PEOPLE[3]))
        await stores.events.put([event(person, person % 6) for person in range(25)])
        await refold(stores, NEW, batch=100)
        found = await stores.embeddings.get_many(PEOPLE, "new")
        assert [number for number, embedding in enumerate(found) if embedding is None] == [3]

    asyncio.run(run())


@pytest.mark.parametrize("embeddings", [Away(), ReadOnly()])
def test_of_whom_a_store_that_is_away_cannot_tell_is_counted_as_failed(embeddings: InMemoryUserEmbeddingStore) -> None:
    async def run() -> None:
        stores = (await lived_in())._replace(embeddings=embeddings)
        assert await refold(stores, NEW, batch=10) == Refolded(people=25, failed=25)

    asyncio.run(run())


def test_a_sweep_that_nobody_wants_any_more_stops_after_its_batch() -> None:
    async def run() -> None:
        stores = await lived_in()
        wanted = iter([True, True, False])
        assert await refold(stores, NEW, batch=10, goes_on=lambda: next(wanted)) == Refolded(people=20, folded=20)
        assert await refold(stores, NEW) == Refolded(people=25, folded=5)

    asyncio.run(run())


def test_requests_have_their_turn_between_two_batches() -> None:
    async def run() -> None:
        stores = await lived_in()
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        await refold(stores, NEW, batch=5)
        task.cancel()
        assert turns >= 5

    asyncio.run(run())


class Slow(InMemoryEventStore):
    """A store that takes its time, and counts it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0.0

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        found = await super().met_many(user_ids)
        self.taken += time.monotonic() - began
        return found


def test_a_sweep_of_a_quarter_of_the_time_leaves_three_quarters_to_others() -> None:
    async def run() -> None:
        events = Slow()
        stores = open_memory()._replace(events=events)
        await stores.events.put([event(person, 1) for person in range(25)])
        began = time.monotonic()
        await refold(stores, NEW, batch=5, share=0.25)
        assert time.monotonic() - began >= 4 * events.taken >= 4 * 5 * 0.01

    asyncio.run(run())
