"""What the stores hold of people, when several things happen at once and when the store fails."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing, new_key
from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.events import Event
from feature_store.memory import InMemoryEventStore, InMemoryUserEmbeddingStore
from feature_store.met import MetItems
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from serving.model import ServingModel, build_model
from serving.people import People
from serving.request import Person
from tests.serving.published import Publisher, draft, folded_in

CONTENT = draft(1)


@pytest.fixture
def model(publisher: Publisher) -> ServingModel:
    return build_model(publisher.registry.load(publisher.publish(CONTENT)))


def event(number: int) -> Event:
    return Event(f"event-{number}", "anna", f"item-{number}", "view", float(number))


class GatedEmbeddings(InMemoryUserEmbeddingStore):
    """Embeddings whose first put waits for a gate to open, as a slow disk would let it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.gate = asyncio.Event(), asyncio.Event()

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        if not self.waiting.is_set():
            self.waiting.set()
            await self.gate.wait()
        await super().put(user_id, embedding)


class FailingEvents(InMemoryEventStore):
    """Events that can be read no more."""

    def __init__(self, failure: Exception | None) -> None:
        super().__init__()
        self.failure = failure

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        if self.failure is None:
            await asyncio.sleep(3600.0)
            raise TimeoutError
        raise self.failure


class FullEvents(InMemoryEventStore):
    """Events that can be read, and, while the disk is full, not be written; they count the writes that are tried."""

    def __init__(self) -> None:
        super().__init__()
        self.full, self.tried = False, 0

    async def put(self, events: Sequence[Event]) -> list[bool]:
        if self.full:
            raise StoreUnavailable("full")
        return await super().put(events)

    async def try_write(self) -> None:
        self.tried += 1
        if self.full:
            raise StoreUnavailable("full")


@pytest.mark.anyio
async def test_of_two_posts_at_once_the_slower_does_not_leave_an_old_embedding(model: ServingModel) -> None:
    embeddings = GatedEmbeddings()
    people = People(LocalStores(InMemoryEventStore(), embeddings), timeout_seconds=10.0)

    async def post(number: int) -> None:
        await people.keep([event(number)])
        await people.fold_in(["anna"], model)

    first = asyncio.create_task(post(1))
    await embeddings.waiting.wait()  # it has read a history of one event
    second = asyncio.create_task(post(2))
    for _ in range(20):
        await asyncio.sleep(0)  # the second goes as far as it can
    embeddings.gate.set()
    await asyncio.gather(first, second)

    met, embedding, _ = await people.read("anna", model)
    assert met.item_ids == ("item-1", "item-2")
    assert embedding is not None
    assert embedding.watermark == met.watermark
    assert embedding.vector == pytest.approx(folded_in(CONTENT, ["item-1", "item-2"]), abs=1e-5)


@pytest.mark.anyio
async def test_many_posts_at_once_for_one_person_end_in_the_embedding_of_them_all(
    model: ServingModel, tmp_path: Path
) -> None:
    async with open_sqlite(tmp_path / "store.sqlite", KeyRing([new_key()])) as stores:
        people = People(stores, timeout_seconds=10.0)

        async def post(number: int) -> None:
            await people.keep([event(number)])
            assert await people.fold_in(["anna"], model) == 0

        await asyncio.gather(*(post(number) for number in range(20)))
        met, embedding, _ = await people.read("anna", model)

    assert len(met.item_ids) == 20
    assert embedding is not None
    assert embedding.watermark == met.watermark
    assert embedding.vector == pytest.approx(folded_in(CONTENT, [f"item-{n}" for n in range(20)]), abs=1e-5)


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [StoreUnavailable("full"), CorruptStore("damaged"), None], ids=str)
async def test_whatever_ails_the_store_is_one_error_in_bounded_time(
    model: ServingModel, failure: Exception | None
) -> None:
    people = People(LocalStores(FailingEvents(failure), InMemoryUserEmbeddingStore()), timeout_seconds=0.05)
    await people.keep([event(1)])

    with pytest.raises(StoreUnavailable):
        await people.read("anna", model)
    assert not await people.answers()
    assert await people.fold_in(["anna", "bert"], model) == 2


@pytest.mark.anyio
async def test_the_store_is_ready_again_once_a_write_is_tried_and_none_is_tried_while_all_is_well() -> None:
    events = FullEvents()
    people = People(LocalStores(events, InMemoryUserEmbeddingStore()), timeout_seconds=1.0)
    assert await people.answers()
    assert events.tried == 0

    events.full = True
    with pytest.raises(StoreUnavailable):
        await people.keep([event(1)])
    assert [await people.answers() for _ in range(3)] == [False] * 3
    assert events.tried == 3

    events.full = False
    assert [await people.answers() for _ in range(3)] == [True] * 3
    assert events.tried == 4


@pytest.mark.anyio
async def test_the_store_is_ready_again_after_a_write_that_succeeds() -> None:
    events = FullEvents()
    people = People(LocalStores(events, InMemoryUserEmbeddingStore()), timeout_seconds=1.0)
    events.full = True
    with pytest.raises(StoreUnavailable):
        await people.keep([event(1)])
    events.full = False
    await people.keep([event(1)])
    assert await people.answers()
    assert events.tried == 0


@pytest.mark.anyio
async def test_a_person_without_events_has_no_embedding_to_read(model: ServingModel) -> None:
    stores = LocalStores(InMemoryEventStore(), InMemoryUserEmbeddingStore())
    await stores.embeddings.put("gone", UserEmbedding(np.ones(8, dtype=np.float32), model.model_id, 3))
    people = People(stores, timeout_seconds=1.0)

    assert await people.read("gone", model) == Person(MetItems(), None)
    assert await people.answers()
