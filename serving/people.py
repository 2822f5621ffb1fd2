"""What the local stores hold of people: read for a reply, and kept up to date with what they do.

Two posts of events for one person may overlap. Each stores its events first; only then, holding the person's lock,
it reads what they have met, folds it in and puts the embedding. So the last to put has read all that was stored before
it, and within one server an older embedding never replaces a newer one. Between servers it may; the watermark
that each embedding carries then differs from the history's, and the embedding is not used.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.events import Event
from feature_store.folded import keep_folded
from feature_store.stores import LocalStores
from serving.breaker import Breaker
from serving.model import ServingModel
from serving.request import Person
from serving.tracing.spans import step

_LOG = logging.getLogger("serving.people")
_LOCKS = 64  # people share locks: as many as there are people would grow without end
_NOBODY = "hearth-readiness"  # whose empty history is read to see whether the store answers

Answer = TypeVar("Answer")


class People:
    """The stores as requests use them: each step is limited in time, and fails with `StoreUnavailable` alone.

    After several failures in a row the store is left alone for a moment, and steps fail at once. Reading and writing
    are so by themselves: what is on a full disk can still be read.

    timeout_seconds: for one read, one write or one fold-in with its reads and writes.
    """

    def __init__(self, stores: LocalStores, timeout_seconds: float) -> None:
        self.reading, self.writing = Breaker(), Breaker()
        self._stores = stores
        self._timeout_seconds = timeout_seconds
        self._write_failed = False  # whether the last write did; a full disk can still be read
        self._locks = tuple(asyncio.Lock() for _ in range(_LOCKS))

    async def read(self, user_id: str, model: ServingModel | None) -> Person:
        """What the person has met, and the embedding of that model, if any; raises `StoreUnavailable`."""
        with step("read person"):
            return await self._in_time(lambda: self._read(user_id, model), self.reading)

    async def keep(self, events: Sequence[Event]) -> list[bool]:
        """Store events, all or none; True where one is new. Raises `StoreUnavailable`."""
        with step("write events"):
            return await self._written(lambda: self._stores.events.put(events))

    async def fold_in(self, user_ids: Iterable[str], model: ServingModel) -> int:
        """Fold people in again from their history, and say with how many that failed.

        Nobody loses anything by a failure: the embedding that is stored then does not fit the history, and the
        next reply folds the history in for itself.
        """
        failed = 0
        with step("fold in"):
            for user_id in user_ids:
                async with self._locks[hash(user_id) % _LOCKS]:
                    try:
                        await self._written(partial(self._fold_in, user_id, model))
                    except StoreUnavailable:
                        failed += 1
        return failed

    async def answers(self) -> bool:
        """Whether the store can be read now, and, where the last write failed, be written to again.

        A write is tried then alone: while all is well, asking whether it is costs the disk nothing.
        """
        try:
            await self._in_time(lambda: self._stores.events.met(_NOBODY), self.reading)
            if self._write_failed:
                await self._written(self._stores.events.try_write)
        except StoreUnavailable:
            return False
        return True

    async def _read(self, user_id: str, model: ServingModel | None) -> Person:
        if model is None:
            return Person(await self._stores.events.met(user_id), None)
        return Person(*await self._stores.person(user_id, model.model_id))

    async def _fold_in(self, user_id: str, model: ServingModel) -> None:
        met = await self._stores.events.met(user_id)
        rows = model.checkpoint.vocabulary.known_rows(met.item_ids)
        if len(rows):  # else there is nothing to keep: a reply finds that out by itself
            await keep_folded(self._stores, {user_id: model.checkpoint.fold_in(rows, met.watermark)})

    async def _written(self, step: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await self._in_time(step, self.writing)
        except StoreUnavailable:
            self._write_failed = True
            raise
        self._write_failed = False
        return answer

    async def _in_time(self, step: Callable[[], Awaitable[Answer]], way: Breaker) -> Answer:
        was_open = way.is_open
        try:
            with way.attempt():
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await step()
        except (StoreError, TimeoutError) as error:
            if not (was_open and way.is_open):  # else it has been said, and many ask
                # The message may hold what was read or written; the name of the error does not.
                _LOG.warning("store unavailable", extra={"fields": {"reason": type(error).__name__}})
            raise StoreUnavailable(
                f"the store of local data did not do its part in {self._timeout_seconds} s: {type(error).__name__}"
            ) from error
        if was_open:
            _LOG.info("store available again")
        return answer
