"""Local stores in memory: for tests, and for a demonstration that keeps nothing. They end with the process."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KEY_BYTES, pseudonym
from feature_store.event_weights import EventWeights
from feature_store.events import Event, History, require_id, require_time
from feature_store.export import exported_embeddings, exported_record
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems
from feature_store.person_record import PersonRecord, add, by_person, forget_before, met, new_token
from feature_store.stores import KEPT_CHECKPOINTS, Clock, JsonObject, LocalStores, require_dim


def open_memory(
    limits: HistoryLimits | None = None, weights: EventWeights | None = None, clock: Clock = time.time
) -> LocalStores:
    """Two empty stores. There is nothing to close."""
    return LocalStores(InMemoryEventStore(limits, weights, clock), InMemoryUserEmbeddingStore())


class InMemoryEventStore:
    """Records in a dictionary. No method awaits anything within, so each is whole."""

    def __init__(
        self, limits: HistoryLimits | None = None, weights: EventWeights | None = None, clock: Clock = time.time
    ) -> None:
        self._limits, self._weights, self._clock = limits or HistoryLimits(), weights or EventWeights(), clock
        self._records: dict[str, PersonRecord] = {}
        self._met: dict[str, MetItems] = {}  # of each record, made when it changes: it is asked for far more often
        self._secret = secrets.token_bytes(KEY_BYTES)

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore.put`."""
        self._limits.require_past(events, self._clock())
        flags = [False] * len(events)
        for user_id, places in by_person(events).items():
            before, theirs = self._records.get(user_id), [events[place] for place in places]
            record, new = add(before, theirs, self._limits, self._weights, new_token())
            if record is not before:
                self._keep(record)
            for place, is_new in zip(places, new, strict=True):
                flags[place] = is_new
        return flags

    async def get(self, user_id: str) -> History:
        """See `EventStore.get`."""
        return self._record(user_id).history

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        """See `EventStore.met`."""
        if since is not None:
            return met(self._record(user_id), self._weights, since)
        return self._met.get(user_id, MetItems())

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        """See `EventStore.met_many`."""
        return [await self.met(user_id) for user_id in user_ids]

    async def delete(self, user_id: str) -> int:
        """See `EventStore.delete`."""
        self._met.pop(user_id, None)
        record = self._records.pop(user_id, PersonRecord(user_id))
        return len(record.events) + len(record.signals)

    async def export(self, user_id: str) -> JsonObject:
        """See `EventStore.export`."""
        return exported_record(self._record(user_id))

    async def forget_before(self, time: float) -> int:
        """See `EventStore.forget_before`."""
        require_time("the time before which is forgotten", time)
        gone = 0
        for user_id, record in list(self._records.items()):
            left = forget_before(record, time, new_token())
            gone += len(record.events) - len(left.events)
            if left.is_empty:
                del self._records[user_id], self._met[user_id]
            elif left is not record:
                self._keep(left)
        return gone

    async def try_write(self) -> None:
        """See `EventStore.try_write`. A dictionary takes what it is given: there is nothing to try."""

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`. There are no files."""
        return False

    async def rotate(self) -> int:
        """See `EventStore.rotate`. Nothing is sealed here."""
        return 0

    async def user_ids(self) -> AsyncIterator[str]:
        """See `EventStore.user_ids`."""
        for user_id in list(self._records):  # people may come and go between two steps
            yield user_id

    def pseudonym(self, user_id: str) -> str:
        """See `EventStore.pseudonym`. It is another one in each process."""
        return pseudonym(self._secret, user_id).hex()

    def _keep(self, record: PersonRecord) -> None:
        self._records[record.user_id] = record
        self._met[record.user_id] = met(record, self._weights)

    def _record(self, user_id: str) -> PersonRecord:
        return self._records.get(user_id, PersonRecord(user_id))


class InMemoryUserEmbeddingStore:
    """Embeddings in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self) -> None:
        # user id -> checkpoint id -> embedding, last put last
        self._embeddings: dict[str, dict[str, UserEmbedding]] = {}
        self._dims: dict[str, int] = {}

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """See `UserEmbeddingStore.put`."""
        require_id("user_id of an embedding", user_id)
        require_dim(embedding, self._dims.setdefault(embedding.checkpoint_id, len(embedding.vector)))
        vector = embedding.vector.copy()  # the caller may go on writing in theirs
        vector.flags.writeable = False
        kept = UserEmbedding(vector, embedding.checkpoint_id, embedding.watermark)
        theirs = self._embeddings.setdefault(user_id, {})
        theirs.pop(embedding.checkpoint_id, None)
        theirs[embedding.checkpoint_id] = kept
        if len(theirs) > KEPT_CHECKPOINTS:
            del theirs[next(iter(theirs))]

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        """See `UserEmbeddingStore.put_many`."""
        for user_id, embedding in embeddings.items():
            await self.put(user_id, embedding)

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """See `UserEmbeddingStore.get`."""
        return self._embeddings.get(user_id, {}).get(checkpoint_id)

    async def get_many(self, user_ids: Sequence[str], checkpoint_id: str) -> list[UserEmbedding | None]:
        """See `UserEmbeddingStore.get_many`."""
        return [self._embeddings.get(user_id, {}).get(checkpoint_id) for user_id in user_ids]

    async def delete(self, user_id: str) -> int:
        """See `UserEmbeddingStore.delete`."""
        return len(self._embeddings.pop(user_id, {}))

    async def export(self, user_id: str) -> JsonObject:
        """See `UserEmbeddingStore.export`."""
        return exported_embeddings(user_id, self._embeddings.get(user_id, {}).values())

    async def checkpoint_ids(self) -> set[str]:
        """See `UserEmbeddingStore.checkpoint_ids`."""
        return {checkpoint_id for theirs in self._embeddings.values() for checkpoint_id in theirs}

    async def rotate(self) -> int:
        """See `UserEmbeddingStore.rotate`. Nothing is sealed here."""
        return 0
