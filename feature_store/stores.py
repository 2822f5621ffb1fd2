"""What every store of local data promises.

Each is held to it by `event_store_contract.py`, `embedding_store_contract.py` and `rights_contract.py` in
`tests/feature_store`.

A store belongs to the device or the edge cell that the person trusts. Nothing in here is ever sent on. What events
mean is said once, in `feature_store.person_record`; a store keeps what comes out of it, sealed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.events import Event, History
from feature_store.met import MetItems

JsonObject: TypeAlias = Mapping[str, object]
Clock: TypeAlias = Callable[[], float]  # seconds since 1970, as `time.time`
KEPT_CHECKPOINTS = 2  # whose embeddings are kept of each person: what answers now, and what did before it


class HeldOfPeople(Protocol):
    """Anything that holds something of people, as far as their rights ask for it (`feature_store.rights`)."""

    async def delete(self, user_id: str) -> int:
        """Remove all that is held of the person and say how many things there were."""
        ...

    async def export(self, user_id: str) -> JsonObject:
        """All that is held of the person, ready for `json.dumps`: in lists, all empty for who is not known."""
        ...


class PlaceOfPeople(HeldOfPeople, Protocol):
    """One that has files and keys of its own."""

    async def finish_erasures(self) -> bool:
        """Write the files anew, without what was deleted since they were written last; whether they were.

        `delete` removes what is held of a person from all that is read. Files may hold its bytes for longer, sealed, in
        places that nobody reads any more; this ends that. It takes as long as writing all that the place holds.
        """
        ...

    async def rotate(self) -> int:
        """Seal everything of this place anew that is not sealed with the newest key; how many values those were.

        In small steps, between which others read and write; one that was broken off goes on where it was. When all
        stores of a place have returned, and no writer is left whose newest key is an older one, that key can go.
        A place that seals nothing returns 0.
        """
        ...


class EventStore(PlaceOfPeople, Protocol):
    """What people did. `finish_erasures` does it for the embeddings beside it as well.

    Raises, in each method:
        StoreError: as its subclasses say; nothing was done then, or all of it.
    """

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """Keep the events; True where one is new, False where (user id, event id) is known already or it is too old.

        Of each person all are kept or none. Where it raises, some people's may be kept; sending all of them again is
        harmless. When it returns, the events outlive the process, as far as the store outlives it at all.

        Raises:
            BadInput: an event lies in the future by more than `HistoryLimits.future_seconds`; nothing is kept.
        """
        ...

    async def get(self, user_id: str) -> History:
        """The person's history; an empty one for a person not known."""
        ...

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        """The items that the person met, and those disliked; none for a person not known.

        Costs far less than `get`, but where only what was done since a time counts (seconds since 1970).
        """
        ...

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        """Of each of these people what `met` gives, in their order, in one round trip to the store."""
        ...

    async def delete(self, user_id: str) -> int:
        """Remove all that was done by the person, and say how many events and, of older ones, items there were."""
        ...

    async def forget_before(self, time: float) -> int:
        """Remove everybody's events older than `time`, in seconds since 1970, and say how many events there were.

        Of people of whom nothing is left, nothing stays. Whoever wants their embeddings gone as well asks
        `feature_store.rights.forget_before`.
        """
        ...

    async def try_write(self) -> None:
        """Write as `put` does, and leave nothing behind: for finding out whether a store that failed works again."""
        ...

    def user_ids(self) -> AsyncIterator[str]:
        """Everyone of whom anything that they did is held, in no stated order."""
        ...

    def pseudonym(self, user_id: str) -> str:
        """What the store knows the person by, 32 hexadecimal digits: for receipts and for looking into raw files."""
        ...


class UserEmbeddingStore(HeldOfPeople, Protocol):
    """The vectors folded in from what people did: of each person one for each of the last two checkpoints."""

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """Keep the embedding in place of an earlier one of the same person and checkpoint.

        Beside it the one put last for another checkpoint is kept, which answers after a roll-back; others go.

        Raises:
            BadInput: its length is not that of the first embedding that the store was given for its checkpoint.
        """
        ...

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        """`put` of each, by user id, in one round trip; where it raises, any of them may be kept, or none."""
        ...

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """The person's embedding for that checkpoint, where there is one."""
        ...

    async def get_many(self, user_ids: Sequence[str], checkpoint_id: str) -> list[UserEmbedding | None]:
        """Of each of these people what `get` gives, in their order, in one round trip to the store."""
        ...

    async def checkpoint_ids(self) -> set[str]:
        """The checkpoints that any embedding in the store belongs to: a registry keeps these."""
        ...

    async def rotate(self) -> int:
        """As `PlaceOfPeople.rotate`, of the embeddings."""
        ...


class ReadsBoth(Protocol):
    """A quicker way to what `LocalStores.person` gives than to ask the two stores one after the other."""

    async def __call__(self, user_id: str, checkpoint_id: str) -> tuple[MetItems, UserEmbedding | None]:
        """See `LocalStores.person`."""
        ...


class LocalStores(NamedTuple):
    """The two stores of one place; whoever opened them closes them.

    both: in one step, where the place has a way for that.
    """

    events: EventStore
    embeddings: UserEmbeddingStore
    both: ReadsBoth | None = None

    async def person(self, user_id: str, checkpoint_id: str) -> tuple[MetItems, UserEmbedding | None]:
        """What a reply needs: the items met, and, where there are any, the embedding for that checkpoint.

        Raises:
            StoreError: as its subclasses say.
        """
        if self.both is not None:
            return await self.both(user_id, checkpoint_id)
        met = await self.events.met(user_id)
        return met, await self.embeddings.get(user_id, checkpoint_id) if met.item_ids else None


def require_dim(embedding: UserEmbedding, held: int) -> None:
    """Raise `BadInput`, naming both, where the length is not the one that the store holds for the checkpoint."""
    if len(embedding.vector) != held:
        raise BadInput(
            f"an embedding for checkpoint {embedding.checkpoint_id} has {len(embedding.vector)} numbers; "
            f"those that the store was given before have {held}"
        )
