"""A kind of store against the one in memory as its model: whatever is done to both, both say and hold the same.

For each kind a subclass names its place, and its `TestCase` is the test:

    class SQLiteMachine(StoreMachine):
        new_place = SQLitePlace

    TestSQLiteMachine = SQLiteMachine.TestCase

The machine opens the stores anew at times, with another ring of keys too, as whoever runs an edge cell would.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing, new_key
from feature_store.errors import BadInput
from feature_store.event_weights import EventWeights
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from feature_store.memory import open_memory
from feature_store.rights import erase_person, forget_before
from feature_store.stores import LocalStores
from tests.feature_store.person_events import events_of

LIMITS = HistoryLimits(events=4, items=2, future_seconds=1.0)  # so little that events go, and signals after them
WEIGHTS = EventWeights()
USERS = ("ada", "bob", "c\0d")
CHECKPOINTS = ("r0001-aa", "r0002-bb", "r0003-cc")

Ask: TypeAlias = Callable[[LocalStores], Coroutine[Any, Any, object]]
_users, _checkpoints = st.sampled_from(USERS), st.sampled_from(CHECKPOINTS)
_times = st.sampled_from([0.0, 1.5, 3.5, 5.0, 11.0])
_vectors = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=2).map(lambda v: np.array(v, dtype=np.float32))


def clock() -> float:
    """So that of the events of `person_events`, which lie from 0 to 10, few are of the future."""
    return 8.9


class Place(Protocol):
    """Where one run of the machine keeps its stores."""

    def open(self, keys: KeyRing) -> AbstractAsyncContextManager[LocalStores]:
        """The stores with `LIMITS`, `WEIGHTS` and `clock`: empty at first, later with what they held when closed."""
        ...

    def close(self) -> None:
        """Nothing is opened any more."""
        ...


class StoreMachine(RuleBasedStateMachine):
    new_place: ClassVar[Callable[[], Place]]

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.place, self.keys = asyncio.Runner(), type(self).new_place(), [new_key()]
        self.model, self.marks = open_memory(LIMITS, WEIGHTS, clock), dict[tuple[str, str], list[int]]()
        self.open()

    def open(self) -> None:
        self.opened = self.place.open(KeyRing(self.keys))
        self.store = self.runner.run(self.opened.__aenter__())  # type: ignore[arg-type]  # all we open are coroutines

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))  # type: ignore[arg-type]  # as above
        self.runner.close()
        self.place.close()

    def agree(self, ask: Ask) -> None:
        assert self.runner.run(ask(self.store)) == self.runner.run(ask(self.model))

    @rule(events=st.lists(events_of(_users), max_size=6))
    def put(self, events: list[Event]) -> None:
        self.agree(lambda stores: _or_refused(stores.events.put(events)))

    @rule(user_id=_users, checkpoint=_checkpoints, vector=_vectors)
    def put_an_embedding(self, user_id: str, checkpoint: str, vector: np.ndarray) -> None:
        embedding = UserEmbedding(vector, checkpoint, 7)
        self.agree(lambda stores: _or_refused(stores.embeddings.put(user_id, embedding)))

    @rule(user_id=_users, checkpoint=_checkpoints)
    def fold_in_again(self, user_id: str, checkpoint: str) -> None:
        async def fold_in(stores: LocalStores) -> None:
            met = await stores.events.met(user_id)
            vector = np.array([len(met.item_ids)], dtype=np.float32)
            await _or_refused(stores.embeddings.put(user_id, UserEmbedding(vector, checkpoint, met.watermark)))

        self.agree(fold_in)

    @rule(user_id=_users)
    def delete_events(self, user_id: str) -> None:
        self.agree(lambda stores: stores.events.delete(user_id))

    @rule(user_id=_users)
    def delete_embeddings(self, user_id: str) -> None:
        self.agree(lambda stores: stores.embeddings.delete(user_id))

    @rule(user_id=_users)
    def erase(self, user_id: str) -> None:
        async def erased(stores: LocalStores) -> object:
            receipt = await erase_person(stores, user_id)
            return receipt.removed, receipt.left, receipt.is_complete

        self.agree(erased)

    @rule(time=_times)
    def forget_events(self, time: float) -> None:
        self.agree(lambda stores: stores.events.forget_before(time))

    @rule(time=_times)
    def forget_events_and_embeddings(self, time: float) -> None:
        self.agree(lambda stores: forget_before(stores, time))

    @rule()
    def close_and_open(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))  # type: ignore[arg-type]  # as above
        self.open()

    @rule()
    def change_the_key(self) -> None:
        async def rotated() -> None:
            await self.store.events.rotate()
            await self.store.embeddings.rotate()
            assert (await self.store.events.rotate(), await self.store.embeddings.rotate()) == (0, 0)

        self.keys = [new_key(), *self.keys]
        self.close_and_open()
        self.runner.run(rotated())
        self.keys = self.keys[:1]
        self.close_and_open()

    @invariant()
    def both_hold_the_same(self) -> None:
        self.agree(_everything)
        for user_id in USERS:
            assert self.mark(self.store, "store", user_id) == self.mark(self.model, "model", user_id)

    def mark(self, stores: LocalStores, name: str, user_id: str) -> tuple[int, list[bool]]:
        """Watermarks are a store's own: as which of this person's it is, and of which embeddings it is the mark."""

        async def marks() -> tuple[int, list[bool]]:
            history, met = await stores.events.get(user_id), await stores.events.met(user_id)
            assert met.watermark == history.watermark == (await stores.events.met(user_id, since=3.0)).watermark
            folded = [await stores.embeddings.get(user_id, checkpoint) for checkpoint in CHECKPOINTS]
            return met.watermark, [bool(one and one.watermark == met.watermark) for one in folded]

        seen = self.marks.setdefault((name, user_id), [0])
        watermark, fresh = self.runner.run(marks())
        if watermark not in seen:
            seen.append(watermark)
        return seen.index(watermark), fresh


async def _or_refused(step: Coroutine[Any, Any, object]) -> object:
    try:
        return await step
    except BadInput as error:
        return str(error)


async def _everything(stores: LocalStores) -> object:
    said: list[object] = [
        sorted([user_id async for user_id in stores.events.user_ids()]),
        await stores.embeddings.checkpoint_ids(),
    ]
    for user_id in USERS:
        for since in (None, 3.0):
            met = await stores.events.met(user_id, since)
            said.append((met.item_ids, met.disliked))
        said.append(((await stores.events.get(user_id)).events, await stores.events.export(user_id)))
    for checkpoint in CHECKPOINTS:
        found = await stores.embeddings.get_many(USERS, checkpoint)
        said.append([None if one is None else one.vector.tolist() for one in found])
    return said
