"""What is read of the social graph for a reply, and what becomes of a graph that does not answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import pytest

from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.memory import InMemoryEventStore
from feature_store.met import MetItems
from feature_store.social_graph import SocialGraph, Tie
from feature_store.social_graph_memory import InMemorySocialGraph
from serving.access.tenants import person_of
from serving.breaker import FAILURES
from serving.late_graph import opened_late
from serving.neighbours import Neighbourhood
from serving.placements.settings import GraphSource, Placement
from tests.serving.people_of import neighbours_of

BOTH = GraphSource(met_by="friends-and-followed")
TIES = [
    Tie("friend", "ann", "bob", 1.0),
    Tie("friend", "ann", "cy", 2.0),
    Tie("follow", "ann", "dan", 3.0),
    Tie("mute", "ann", "cy", 4.0),
    Tie("block", "eve", "ann", 5.0),
]
MET = {"bob": ["tea", "jam"], "cy": ["tea", "rum"], "dan": ["tea", "ale"], "eve": ["tea"], "zoe": ["tea"]}


def test_ties_are_told_and_what_friends_met_is_counted_by_item() -> None:
    found = neighbours_of("ann", TIES, MET)
    assert (found.person, found.hidden, found.follows, found.friends) == ("ann", {"cy", "eve"}, {"dan"}, {"bob", "cy"})
    assert (found.asked, found.met) == (1, {"tea": 1, "jam": 1})


def test_those_followed_are_asked_what_they_met_only_where_the_placement_says_so() -> None:
    found = neighbours_of("ann", TIES, MET, BOTH)
    assert (found.asked, found.met) == (2, {"tea": 2, "jam": 1, "ale": 1})


def test_no_more_people_are_asked_than_the_source_says_the_newest_friends_first() -> None:
    friends = [Tie("friend", "ann", f"friend-{n}", float(n)) for n in range(5)]
    met = {f"friend-{n}": [f"item-{n}"] for n in range(5)}
    found = neighbours_of("ann", friends, met, GraphSource(people=2))
    assert (found.asked, found.met) == (2, {"item-4": 1, "item-3": 1})
    assert len(found.friends) == 5


def test_people_of_a_tenant_are_named_as_in_its_catalogue() -> None:
    ann, bob = person_of("shop", "ann"), person_of("shop", "bob")
    ties = [Tie("friend", ann, bob), Tie("block", person_of("shop", "eve"), ann)]
    found = neighbours_of(ann, ties, {bob: ["tea"], "bob": ["rum"]}, before_ids=person_of("shop", ""))
    assert (found.person, found.friends, found.hidden, found.met) == ("ann", {"bob"}, {"eve"}, {"tea": 1})


@pytest.mark.anyio
async def test_a_placement_of_a_tenant_names_people_as_the_tenant_does() -> None:
    graph = InMemorySocialGraph()
    await graph.add([Tie("follow", person_of("shop", "ann"), person_of("shop", "bob")), Tie("follow", "ann", "cy")])
    async with opened_late(lambda: nullcontext(graph)) as late:
        neighbourhood = Neighbourhood(late, InMemoryEventStore(), 5.0)
        shops = await neighbourhood.of(person_of("shop", "ann"), Placement(tenant="shop", respects_graph=True))
        own = await neighbourhood.of("ann", Placement(respects_graph=True))
    assert [(found.person, found.follows) for found in (shops, own) if found] == [("ann", {"bob"}), ("ann", {"cy"})]


class Away:
    """A graph that cannot be opened, until it can."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure, self.opened, self.closed = failure, 0, 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[SocialGraph]:
        if self.failure is not None:
            raise self.failure
        self.opened += 1
        await asyncio.sleep(0)  # the others have their turn
        graph = InMemorySocialGraph()
        await graph.add([Tie("follow", "ann", "bob")])
        yield graph
        self.closed += 1


@pytest.mark.anyio
async def test_a_graph_that_is_away_at_first_is_opened_once_when_it_is_back_and_closed_at_the_end() -> None:
    away = Away(StoreUnavailable("away"))
    async with opened_late(away) as late:
        neighbourhood = Neighbourhood(late, InMemoryEventStore(), 5.0)
        with pytest.raises(StoreUnavailable):
            await neighbourhood.read("ann")
        away.failure = None
        found = await asyncio.gather(*(neighbourhood.read("ann") for _ in range(5)))
        assert [one.follows for one in found] == [{"bob"}] * 5
        assert (away.opened, away.closed) == (1, 0)
    assert (away.opened, away.closed) == (1, 1)


@pytest.mark.anyio
async def test_a_graph_that_is_there_and_cannot_be_opened_ends_the_start_of_a_server() -> None:
    with pytest.raises(CorruptStore):
        async with opened_late(Away(CorruptStore("other keys"))):
            pass


class SlowGraph(InMemorySocialGraph):
    """A graph that takes its time."""

    async def hidden_from(self, person: str) -> frozenset[str]:
        await asyncio.sleep(3600.0)
        return frozenset()


class DamagedGraph(InMemorySocialGraph):
    """A graph of which something cannot be read."""

    async def friends(self, person: str, most: int = 1000) -> tuple[str, ...]:
        raise CorruptStore("damaged")


@pytest.mark.anyio
@pytest.mark.parametrize("graph", [SlowGraph(), DamagedGraph()], ids=["slow", "damaged"])
async def test_whatever_ails_the_graph_a_placement_that_uses_it_gets_none_in_bounded_time(graph: SocialGraph) -> None:
    async with opened_late(lambda: nullcontext(graph)) as late:
        await gets_none(Neighbourhood(late, InMemoryEventStore(), 0.05))


@pytest.mark.anyio
async def test_where_there_is_no_graph_a_placement_that_uses_one_gets_none() -> None:
    await gets_none(Neighbourhood(None, InMemoryEventStore(), 5.0))


async def gets_none(neighbourhood: Neighbourhood) -> None:
    with pytest.raises(StoreUnavailable):
        await neighbourhood.read("ann")
    assert await neighbourhood.of("ann", Placement(respects_graph=True)) is None


class LostHistories(InMemoryEventStore):
    """A store of people that cannot be read."""

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        raise StoreUnavailable(f"{len(user_ids)} histories are lost")


class SlowHistories(InMemoryEventStore):
    """A store of people that takes its time, and counts how often it is asked."""

    asked = 0

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        self.asked += 1
        await asyncio.sleep(3600.0)
        return [MetItems()] * len(user_ids)


@pytest.mark.anyio
@pytest.mark.parametrize("events", [LostHistories(), SlowHistories()], ids=["lost", "slow"])
async def test_histories_that_cannot_be_read_take_no_tie_away(events: InMemoryEventStore) -> None:
    graph = InMemorySocialGraph()
    await graph.add(TIES)
    async with opened_late(lambda: nullcontext(graph)) as late:
        found = await Neighbourhood(late, events, 0.05).read("ann", BOTH)
    assert (found.hidden, found.follows, found.friends) == ({"cy", "eve"}, {"dan"}, {"bob", "cy"})
    assert (found.asked, found.met, found.met_unread) == (0, {}, True)


@pytest.mark.anyio
async def test_histories_that_fail_again_and_again_are_left_alone_and_the_graph_is_not() -> None:
    graph, events = InMemorySocialGraph(), SlowHistories()
    await graph.add(TIES)
    async with opened_late(lambda: nullcontext(graph)) as late:
        neighbourhood = Neighbourhood(late, events, 0.02)
        for _ in range(3 * FAILURES):
            assert (await neighbourhood.read("ann", BOTH)).hidden == {"cy", "eve"}
    assert (neighbourhood.histories.is_open, neighbourhood.reading.is_open) == (True, False)
    assert events.asked < FAILURES + 3  # a probe now and then


@pytest.mark.anyio
async def test_a_placement_without_a_graph_does_not_ask_it() -> None:
    async with opened_late(lambda: nullcontext(SlowGraph())) as late:
        async with asyncio.timeout(5.0):
            assert await Neighbourhood(late, InMemoryEventStore(), 60.0).of("ann", Placement()) is None
