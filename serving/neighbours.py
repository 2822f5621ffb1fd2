"""The neighbours of a person: read from the social graph for a reply, within the time that a store has.

Histories of friends are asked for by how many of them met an item; whose history that was stays in here. Whoever is
followed has not agreed to that, so a placement has to say that theirs count as well (`GraphSource.met_by`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice

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

    graph: None where there is none; every reading fails then.
    events: what the neighbours have met.
    timeout_seconds: for one reading.
    """

    def __init__(self, graph: LateGraph | None, events: EventStore, timeout_seconds: float) -> None:
        self.reading = Breaker()
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
        try:
            with step("read neighbours"), self.reading.attempt():
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._read(self._graph, person, source, before_ids)
        except (StoreError, TimeoutError) as error:
            _LOG.warning("social graph unavailable", extra={"fields": {"reason": type(error).__name__}})
            raise StoreUnavailable(
                f"the social graph did not answer in {self._timeout_seconds} s: {type(error).__name__}"
            ) from error

    async def answers(self) -> bool:
        """Whether the graph can be read now."""
        try:
            await self.read(_NOBODY)
        except StoreUnavailable:
            return False
        return True

    async def _read(self, late: LateGraph, person: str, source: GraphSource | None, before_ids: str) -> Neighbours:
        graph = await late.graph()
        hidden, follows, friends = await asyncio.gather(
            graph.hidden_from(person), graph.follows(person, MOST_TIES), graph.friends(person, MOST_TIES)
        )
        asked = [] if source is None else whom_to_ask(source, friends, follows, hidden)
        met = Counter(
            item_id for one in (await self._events.met_many(asked) if asked else ()) for item_id in one.item_ids
        )

        def named(people: Collection[str]) -> frozenset[str]:
            return frozenset(one.removeprefix(before_ids) for one in people)

        return Neighbours(
            person.removeprefix(before_ids), named(hidden), named(follows), named(friends), len(asked), met
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
