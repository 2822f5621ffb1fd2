"""Exports and erasures behind the API, as values."""

import asyncio
from collections.abc import Mapping

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.memory import InMemoryEventStore, open_memory
from feature_store.social_graph import Tie
from feature_store.social_graph_memory import InMemorySocialGraph
from feature_store.stores import JsonObject, LocalStores, PlaceOfPeople
from serving.erasures import Erasures


class Slow(InMemoryEventStore):
    """A store whose files take a while to be written."""

    def __init__(self) -> None:
        super().__init__()
        self.may_finish = asyncio.Event()
        self.finished = 0

    async def finish_erasures(self) -> bool:
        await self.may_finish.wait()
        self.finished += 1
        return True


class Full(InMemoryEventStore):
    """A store whose files cannot be written at first."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures, self.finished = failures, 0

    async def finish_erasures(self) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        self.finished += 1
        return True


class Away(InMemoryEventStore):
    """A store that does not answer."""

    async def export(self, user_id: str) -> JsonObject:
        raise StoreUnavailable(f"cannot say what {user_id} did")


async def files_rewritten(erasures: Erasures, *ids: str) -> None:
    """Return when the receipts say so."""
    async with asyncio.timeout(20):
        while not all((got := erasures.receipt(one)) and got.files_rewritten for one in ids):  # noqa: ASYNC110 - as a client asks
            await asyncio.sleep(0.001)


async def lived_in(stores: LocalStores) -> InMemorySocialGraph:
    await stores.events.put(
        [Event("e", "\x1fshop\x1fada", "heat", "view", 5.0), Event("e", "bob", "heat", "view", 5.0)]
    )
    await stores.embeddings.put("bob", UserEmbedding(np.ones(2, np.float32), "r1", 1))
    graph = InMemorySocialGraph()
    await graph.add([Tie("follow", "bob", "eve")])
    return graph


def test_an_export_has_the_id_that_was_asked_for_and_all_places() -> None:
    async def run() -> None:
        stores = open_memory()
        graph = await lived_in(stores)
        await graph.add([Tie("follow", "\x1fshop\x1fada", "\x1fshop\x1feve")])

        async def further() -> Mapping[str, PlaceOfPeople]:
            return {"social_graph": graph}

        erasures = Erasures(stores, further)
        document = await erasures.export("\x1fshop\x1fada", "ada")
        assert [tie["user_id"] for tie in document["social_graph"]["follows"]] == ["eve"]
        assert document["user_id"] == "ada"
        assert set(document) == {"format", "user_id", "events", "embeddings", "social_graph"}
        assert "shop" not in str(document)

    asyncio.run(run())


def test_a_receipt_comes_at_once_and_says_later_that_files_were_written_one_writing_for_many() -> None:
    async def run() -> None:
        events = Slow()
        stores = open_memory()._replace(events=events)
        graph = await lived_in(stores)

        async def further() -> Mapping[str, PlaceOfPeople]:
            return {"social_graph": graph}

        erasures = Erasures(stores, further)
        first, receipt = await erasures.erase("bob")
        assert (receipt.removed, receipt.is_complete) == ({"events": 1, "embeddings": 1, "social_graph": 1}, True)
        assert erasures.receipt(first) == receipt
        assert not receipt.files_rewritten
        await asyncio.sleep(0)
        others = [(await erasures.erase(f"person-{number}"))[0] for number in range(5)]
        assert len({first, *others}) == 6
        events.may_finish.set()
        async with asyncio.timeout(20):
            while not all((got := erasures.receipt(one)) and got.files_rewritten for one in (first, *others)):  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert events.finished == 2
        assert erasures.receipt("unknown") is None
        await erasures.close()

    asyncio.run(run())


def test_files_that_cannot_be_written_now_are_written_later_and_those_of_other_places_once() -> None:
    async def run() -> None:
        events, graph = Full(failures=0), Full(failures=2)
        absences = [1]

        async def further() -> Mapping[str, PlaceOfPeople]:
            if absences and events.finished:
                absences.pop()
                raise StoreUnavailable("the graph is away")
            return {"social_graph": graph}

        erasures = Erasures(open_memory()._replace(events=events), further, again_seconds=0.01)
        erasure_id, receipt = await erasures.erase("bob")
        assert not receipt.files_rewritten
        await files_rewritten(erasures, erasure_id)
        assert (absences, graph.failures, graph.finished, events.finished) == ([], 0, 1, 1)
        another, _ = await erasures.erase("eve")
        await files_rewritten(erasures, another)
        assert (graph.finished, events.finished) == (2, 2)
        await erasures.close()

    asyncio.run(run())


def test_an_erasure_that_comes_while_a_place_is_away_waits_with_those_before_it() -> None:
    async def run() -> None:
        events, graph = Full(failures=0), Full(failures=2)

        async def further() -> Mapping[str, PlaceOfPeople]:
            return {"social_graph": graph}

        erasures = Erasures(open_memory()._replace(events=events), further, again_seconds=0.01)
        first, _ = await erasures.erase("bob")
        async with asyncio.timeout(20):
            while graph.failures == 2:  # noqa: ASYNC110 - the store is no thing to wait for
                await asyncio.sleep(0.001)
            second, _ = await erasures.erase("eve")
        await files_rewritten(erasures, first, second)
        assert (graph.finished, events.finished) == (1, 2)  # the second time for the one who came meanwhile
        await erasures.close()

    asyncio.run(run())


def test_a_place_that_is_away_is_told_without_saying_of_whom() -> None:
    async def run() -> None:
        async def nothing() -> Mapping[str, PlaceOfPeople]:
            return {}

        erasures = Erasures(LocalStores(Away(), open_memory().embeddings), nothing)
        for step in (erasures.export("bob", "bob"), erasures.erase("bob")):
            with pytest.raises(StoreUnavailable) as told:
                await step
            assert "bob" not in str(told.value)

    asyncio.run(run())
