"""Local stores in memory: for tests, and for a demonstration that keeps nothing. They end with the process."""

from collections.abc import AsyncIterator, Sequence

from feature_store.embedding import UserEmbedding
from feature_store.events import Event, History
from feature_store.export import exported_embeddings, exported_history
from feature_store.met import MetItems
from feature_store.stores import KEPT_CHECKPOINTS, JsonObject, LocalStores


def open_memory() -> LocalStores:
    """Two empty stores. There is nothing to close."""
    return LocalStores(InMemoryEventStore(), InMemoryUserEmbeddingStore())


class InMemoryEventStore:
    """Events in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self) -> None:
        self._events: dict[str, dict[str, Event]] = {}  # user id -> event id -> event, in the order of arrival
        self._watermarks: dict[str, int] = {}
        self._arrived = 0  # over all people and for good: a mark never comes back after a deletion

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore.put`."""
        return [self._add(event) for event in events]

    async def get(self, user_id: str) -> History:
        """See `EventStore.get`."""
        events = sorted(self._events.get(user_id, {}).values(), key=lambda event: event.timestamp)
        return History(tuple(events), self._watermarks.get(user_id, 0))

    async def met(self, user_id: str) -> MetItems:
        """See `EventStore.met`."""
        item_ids = {event.item_id for event in self._events.get(user_id, {}).values()}
        return MetItems(tuple(sorted(item_ids)), self._watermarks.get(user_id, 0))

    async def delete(self, user_id: str) -> int:
        """See `EventStore.delete`."""
        self._watermarks.pop(user_id, None)
        return len(self._events.pop(user_id, {}))

    async def export(self, user_id: str) -> JsonObject:
        """See `EventStore.export`."""
        return exported_history(user_id, await self.get(user_id))

    async def try_write(self) -> None:
        """See `EventStore.try_write`. A dictionary takes what it is given: there is nothing to try."""

    async def user_ids(self) -> AsyncIterator[str]:
        """See `EventStore.user_ids`."""
        for user_id in list(self._events):  # people may come and go between two steps
            yield user_id

    def _add(self, event: Event) -> bool:
        theirs = self._events.setdefault(event.user_id, {})
        if event.event_id in theirs:
            return False
        theirs[event.event_id] = event
        self._arrived += 1
        self._watermarks[event.user_id] = self._arrived
        return True


class InMemoryUserEmbeddingStore:
    """Embeddings in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self) -> None:
        self._embeddings: dict[
            str, dict[str, UserEmbedding]
        ] = {}  # user id -> checkpoint id -> embedding, last put last

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """See `UserEmbeddingStore.put`."""
        vector = embedding.vector.copy()  # the caller may go on writing in theirs
        vector.flags.writeable = False
        kept = UserEmbedding(vector, embedding.checkpoint_id, embedding.watermark)
        theirs = self._embeddings.setdefault(user_id, {})
        theirs.pop(embedding.checkpoint_id, None)
        theirs[embedding.checkpoint_id] = kept
        if len(theirs) > KEPT_CHECKPOINTS:
            del theirs[next(iter(theirs))]

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """See `UserEmbeddingStore.get`."""
        return self._embeddings.get(user_id, {}).get(checkpoint_id)

    async def delete(self, user_id: str) -> int:
        """See `UserEmbeddingStore.delete`."""
        return len(self._embeddings.pop(user_id, {}))

    async def export(self, user_id: str) -> JsonObject:
        """See `UserEmbeddingStore.export`."""
        return exported_embeddings(user_id, self._embeddings.get(user_id, {}).values())
