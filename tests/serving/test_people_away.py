"""The store of people fails again and again: it is left alone for a while, reading and writing each by itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.events import Event
from feature_store.memory import InMemoryEventStore, InMemoryUserEmbeddingStore
from feature_store.met import MetItems
from feature_store.stores import LocalStores
from serving.breaker import FAILURES
from serving.model import ServingModel, build_model
from serving.people import People
from tests.serving.published import Publisher, draft


@pytest.fixture
def model(publisher: Publisher, tmp_path: Path) -> ServingModel:
    return build_model(publisher.registry.load(publisher.publish(draft(1))))


class Counting(InMemoryEventStore):
    """Events that fail as they are told to, and count how often they are asked."""

    def __init__(self, reads: Exception | None = None, writes: Exception | None = None) -> None:
        super().__init__()
        self.reads, self.writes, self.asked = reads, writes, 0

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        self.asked += 1
        if self.reads is not None:
            raise self.reads
        return await super().met(user_id, since)

    async def put(self, events: Sequence[Event]) -> list[bool]:
        if self.writes is not None:
            raise self.writes
        return await super().put(events)


async def read(people: People, model: ServingModel, times: int) -> int:
    failed = 0
    for _ in range(times):
        try:
            await people.read("anna", model)
        except StoreUnavailable:
            failed += 1
    return failed


@pytest.mark.anyio
async def test_a_store_that_is_away_is_asked_no_more_after_some_failures(model: ServingModel) -> None:
    events = Counting(reads=StoreUnavailable("away"))
    people = People(LocalStores(events, InMemoryUserEmbeddingStore()), timeout_seconds=1.0)
    assert await read(people, model, 50) == 50
    assert FAILURES <= events.asked < FAILURES + 5  # a probe now and then
    assert people.reading.is_open


@pytest.mark.anyio
async def test_one_persons_damage_takes_the_store_from_nobody(model: ServingModel) -> None:
    events = Counting(reads=CorruptStore("damaged"))
    people = People(LocalStores(events, InMemoryUserEmbeddingStore()), timeout_seconds=1.0)
    assert await read(people, model, 50) == 50
    assert events.asked == 50
    assert not people.reading.is_open


@pytest.mark.anyio
async def test_what_cannot_be_written_to_can_still_be_read(model: ServingModel) -> None:
    people = People(LocalStores(Counting(writes=StoreUnavailable("full")), InMemoryUserEmbeddingStore()), 1.0)
    for _ in range(FAILURES + 1):
        with pytest.raises(StoreUnavailable):
            await people.keep([Event("1", "anna", "item-1", "view", 1.0)])
    assert (people.writing.is_open, people.reading.is_open) == (True, False)
    assert await read(people, model, 3) == 0
