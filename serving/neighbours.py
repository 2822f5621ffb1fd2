"""The neighbours of a person: read from the social graph for a reply, within the time that a store has.

Histories of friends are asked for by how many of them met an item; whose history that was stays in here. Whoever is
followed has not agreed to that, so a placement has to say that theirs count as well (`GraphSource.met_by`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.social_graph import MOST_TIES
from feature_store.stores import EventStore
from serving.access.tenants import person_of
from serving.breaker import Breaker
from serving.late_graph import LateGraph
from serving.placements.settings import GraphSource, Placement
from serving.request import Neighbours
from serving.tracing.spans import step

_LOG = logging.getLogger("serving.neighbours")
_NOBODY = "hearth-readiness"  # whose empty ties are read to see whether the graph answers


class Neighbourhood:
    """The social graph as requests use it: each reading is limited in time, and fails with `StoreUnavailable` alone.

    What neighbours have met is in the store of people, which fails by itself: the ties hold then, above all who is
    blocked, and nobody's meetings count (`Neighbours.met_unread`).

    graph: None where there is none; every reading fails then.
    events: what the neighbours have met.
    timeout_seconds: for one reading.
    """

    def __init__(self, graph: LateGraph | None, events: EventStore, timeout_seconds: float) -> None:
        self.reading, self.histories = Breaker(), Breaker()
        self._graph, self._events, self._timeout_seconds = graph, events, timeout_seconds

    async def of(self, person: str, placement: Placement) -> Neighbours | None:
        """What a list of that placement takes of the graph; None where that is nothing, or the graph does not answer.

        A reply that lacks the graph says so (`serving.recommend.RankedList.degraded`).

        person: as the stores know the person, who is the placement's tenant's.
        """
        if not placement.uses_graph:
            return None
        source = placement.source("graph")
        try:
            asking = source if isinstance(source, GraphSource) else None
            return await self.read(person, asking, person_of(placement.tenant, ""))
        except StoreUnavailable:
            return None

    async def read(self, person: str, source: GraphSource | None = None, before_ids: str = "") -> Neighbours:
        """What the graph says of a person; raises `StoreUnavailable`.

        person: as the stores know the person.
        source: how many neighbours are asked what they have met, and which; None for none.
        before_ids: what stands before each id in the stores, and not in the catalogue: a tenant's people have it.
        """
        if self._graph is None:
            raise StoreUnavailable("there is no social graph")
        with step("read neighbours"):
            deadline = asyncio.get_running_loop().time() + self._timeout_seconds
            try:
                with self.reading.attempt():
                    async with asyncio.timeout_at(deadline):
                        ties = await _ties(self._graph, person)
            except (StoreError, TimeoutError) as error:
                _LOG.warning("social graph unavailable", extra={"fields": {"reason": type(error).__name__}})
                raise StoreUnavailable(
                    f"the social graph did not answer in {self._timeout_seconds} s: {type(error).__name__}"
                ) from error
            asked = [] if source is None else whom_to_ask(source, ties.friends, ties.follows, ties.hidden)
            met = await self._met(asked, deadline) if asked else Counter[str]()

        def named(people: Collection[str]) -> frozenset[str]:
            return frozenset(one.removeprefix(before_ids) for one in people)

        return Neighbours(
            person.removeprefix(before_ids),
            named(ties.hidden),
            named(ties.follows),
            named(ties.friends),
            0 if met is None else len(asked),
            {} if met is None else met,
            met_unread=met is None,
        )

    async def answers(self) -> bool:
        """Whether the graph can be read now."""
        try:
            await self.read(_NOBODY)
        except StoreUnavailable:
            return False
        return True

    async def _met(self, asked: Sequence[str], deadline: float) -> Counter[str] | None:
        """How many of them met each item; None where the store of people does not say by then."""
        try:
            with self.histories.attempt():
                async with asyncio.timeout_at(deadline):
                    histories = await self._events.met_many(asked)
        except (StoreError, TimeoutError) as error:
            _LOG.warning("what neighbours met unavailable", extra={"fields": {"reason": type(error).__name__}})
            return None
        return Counter(item_id for one in histories for item_id in one.item_ids)


class _Ties(NamedTuple):
    """Of one person, as the graph knows people."""

    hidden: Collection[str]
    follows: Sequence[str]
    friends: Sequence[str]


async def _ties(late: LateGraph, person: str) -> _Ties:
    graph = await late.graph()
    return _Ties(
        *await asyncio.gather(
            graph.hidden_from(person), graph.follows(person, MOST_TIES), graph.friends(person, MOST_TIES)
        )
    )


def whom_to_ask(
    source: GraphSource, friends: Sequence[str], follows: Sequence[str], hidden: Collection[str]
) -> list[str]:
    """Whose meetings count: friends first, the newest first, then, where the source says so, those followed.

    >>> whom_to_ask(GraphSource(people=2, met_by="friends-and-followed"), ["bob", "cy"], ["bob", "dan", "eve"], {"cy"})
    ['bob', 'dan']
    """
    near = dict.fromkeys((*friends, *(follows if source.met_by == "friends-and-followed" else ())))
    return list(islice((one for one in near if one not in hidden), source.people))
