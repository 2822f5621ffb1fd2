"""What every store of local data promises; `tests/feature_store/store_contract.py` holds each to it.

A store belongs to the device or the edge cell that the person trusts. Nothing in here is ever sent on.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from feature_store.embedding import UserEmbedding
from feature_store.events import Event, History
from feature_store.met import MetItems

JsonObject: TypeAlias = Mapping[str, object]
KEPT_CHECKPOINTS = 2  # whose embeddings are kept of each person: what answers now, and what did before it


class EventStore(Protocol):
    """What people did."""

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """Keep the events, all or none; True where one is new, False where (user id, event id) is known already.

        When it returns, the events outlive the process, as far as the store outlives it at all.
        """
        ...

    async def get(self, user_id: str) -> History:
        """The person's history; an empty one for a person not known."""
        ...

    async def met(self, user_id: str) -> MetItems:
        """The items of the person's history; none for a person not known. Costs far less than `get`."""
        ...

    async def delete(self, user_id: str) -> int:
        """Remove all events of the person and say how many there were."""
        ...

    async def export(self, user_id: str) -> JsonObject:
        """All that is held of the person, ready for `json.dumps`."""
        ...

    async def try_write(self) -> None:
        """Write as `put` does, and leave nothing behind: for finding out whether a store that failed works again."""
        ...

    def user_ids(self) -> AsyncIterator[str]:
        """Everyone with at least one event, in no stated order."""
        ...


class UserEmbeddingStore(Protocol):
    """The vectors folded in from what people did: of each person one for each of the last two checkpoints."""

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """Keep the embedding in place of an earlier one of the same person and checkpoint.

        Beside it the one put last for another checkpoint is kept, which answers after a roll-back; others go.
        """
        ...

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """The person's embedding for that checkpoint, where there is one."""
        ...

    async def delete(self, user_id: str) -> int:
        """Remove the person's embeddings of all checkpoints and say how many there were."""
        ...

    async def export(self, user_id: str) -> JsonObject:
        """All that is held of the person, ready for `json.dumps`."""
        ...


class LocalStores(NamedTuple):
    """The two stores of one place; whoever opened them closes them."""

    events: EventStore
    embeddings: UserEmbeddingStore
