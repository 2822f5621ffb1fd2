"""People with ties, without a server: a graph and histories in memory, read as a server reads them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from feature_store.events import Event
from feature_store.memory import InMemoryEventStore
from feature_store.social_graph import Tie
from feature_store.social_graph_memory import InMemorySocialGraph
from serving.late_graph import opened_late
from serving.neighbours import Neighbourhood
from serving.placements.settings import GraphSource
from serving.request import Neighbours


def events_of(met: Mapping[str, Sequence[str]]) -> list[Event]:
    """One view of each of the items that each of the people met."""
    return [
        Event(f"{person}-{item_id}", person, item_id, "view", 1.0)
        for person, item_ids in met.items()
        for item_id in item_ids
    ]


def neighbours_of(
    person: str,
    ties: Sequence[Tie],
    met: Mapping[str, Sequence[str]] | None = None,
    source: GraphSource | None = None,
    before_ids: str = "",
) -> Neighbours:
    """What a server finds of that person."""

    async def run() -> Neighbours:
        graph, events = InMemorySocialGraph(), InMemoryEventStore()
        await graph.add(ties)
        await events.put(events_of(met or {}))
        async with opened_late(lambda: nullcontext(graph)) as late:
            return await Neighbourhood(late, events, 5.0).read(person, source or GraphSource(), before_ids)

    return asyncio.run(run())
