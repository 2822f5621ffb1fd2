"""User embeddings in Redis: in the hashes of their people, a field for each checkpoint.

Beside them stands the hash hearth:dims: checkpoint id -> how long its embeddings are.
"""

import json
from collections.abc import Mapping, Sequence

from feature_store.embedding import UserEmbedding
from feature_store.errors import CorruptStore
from feature_store.events import require_id
from feature_store.export import exported_embeddings
from feature_store.person_bytes import embedding_from_bytes, embedding_to_bytes
from feature_store.redis_connection import RedisConnection
from feature_store.redis_connections import Command, Reply
from feature_store.redis_people import Person, RedisPeople
from feature_store.redis_rewriting import RedisRewriting
from feature_store.redis_scripts import DELETE_EMBEDDINGS, PUT_EMBEDDING
from feature_store.stores import KEPT_CHECKPOINTS, JsonObject, require_dim
from feature_store.unreadable import Unreadable

_DIMS = b"hearth:dims"
_AT_ONCE = 200  # people whose embeddings are in our memory at the same time


class RedisUserEmbeddingStore:
    """Embeddings in hashes.

    expiry: milliseconds after which a person of whom nothing is written is forgotten; 0 for never.
    """

    def __init__(self, people: RedisPeople, rewriting: RedisRewriting, expiry: int) -> None:
        self._people, self._rewriting, self._expiry = people, rewriting, expiry
        self._connection: RedisConnection = people.connection
        self._dims: dict[str, int] = {}  # as in the store, where they never change

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """See `UserEmbeddingStore.put`."""
        await self.put_many({user_id: embedding})

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        """See `UserEmbeddingStore.put_many`. Some people's may be kept where it raises."""
        await self._connection.write_all(PUT_EMBEDDING, [await self._sealed(*pair) for pair in embeddings.items()])

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """See `UserEmbeddingStore.get`."""
        person = await self._people.person(user_id)
        sealed = await self._connection.ask("HGET", person.key, field_of(checkpoint_id))
        return self.opened(person, checkpoint_id, sealed)

    async def get_many(self, user_ids: Sequence[str], checkpoint_id: str) -> list[UserEmbedding | None]:
        """See `UserEmbeddingStore.get_many`. In a cluster: one round trip to each node, all at once."""
        if not user_ids:
            return []
        people = [await self._people.person(user_id) for user_id in user_ids]
        field = field_of(checkpoint_id)
        commands: list[Command] = [("HGET", person.key, field) for person in people]
        replies = await self._connection.ask_all(commands, at_once=len(commands))
        return [self.opened(person, checkpoint_id, reply) for person, reply in zip(people, replies, strict=True)]

    async def delete(self, user_id: str) -> int:
        """See `UserEmbeddingStore.delete`. How long the bytes stay in Redis's files: `RedisSettings.rewrite_after`."""
        person = await self._people.person(user_id)
        fields = await self._connection.ask("HKEYS", person.key)
        held = sum(field.startswith(b"e:") for field in fields)
        if not held:
            return 0
        async with self._rewriting.erasing():
            answer = await self._connection.write(DELETE_EMBEDDINGS, person.key)
        return held if answer.repeated and not answer.reply else int(answer.reply)

    async def export(self, user_id: str) -> JsonObject:
        """See `UserEmbeddingStore.export`."""
        person = await self._people.person(user_id)
        found = []
        for checkpoint_id in await self._checkpoints(person):
            embedding = await self.get(user_id, checkpoint_id)
            if embedding is not None:
                found.append(embedding)
        return exported_embeddings(user_id, found)

    async def checkpoint_ids(self) -> set[str]:
        """See `UserEmbeddingStore.checkpoint_ids`. Everybody is looked at."""
        found, unreadable = set[str](), Unreadable()
        async for some in self._people.everybody():
            for checkpoint_ids in (await self._checkpoints_of(some, unreadable)).values():
                found.update(checkpoint_ids)
        unreadable.tell(self._connection.place, f"{len(found)} checkpoints were found")
        return found

    async def rotate(self) -> int:
        """See `UserEmbeddingStore.rotate`."""
        sealed_anew, unreadable = 0, Unreadable()
        async for everyone in self._people.everybody():
            for start in range(0, len(everyone), _AT_ONCE):
                held = await self._checkpoints_of(everyone[start : start + _AT_ONCE], unreadable)
                places = {
                    person: {field_of(each): _sealed_as(each) for each in ids} for person, ids in held.items() if ids
                }
                sealed_anew += await self._people.reseal(places, unreadable)
        unreadable.tell(self._connection.place, f"{sealed_anew} embeddings were sealed anew")
        return sealed_anew

    async def _sealed(self, user_id: str, embedding: UserEmbedding) -> Command:
        """The key and arguments of the script that puts it."""
        require_id("user_id of an embedding", user_id)
        checkpoint_id = embedding.checkpoint_id
        require_id("checkpoint_id of an embedding", checkpoint_id)
        if checkpoint_id not in self._dims:
            self._dims[checkpoint_id] = await _held_dim(self._connection, checkpoint_id, len(embedding.vector))
        require_dim(embedding, self._dims[checkpoint_id])
        person = await self._people.person(user_id)
        sealed = self._people.ring.seal(person.pseudonym, _sealed_as(checkpoint_id), embedding_to_bytes(embedding))
        return (person.key, checkpoint_id, sealed, KEPT_CHECKPOINTS, self._expiry)

    async def _checkpoints(self, person: Person) -> list[str]:
        return _listed(await self._connection.ask("HGET", person.key, "o"))

    async def _checkpoints_of(self, some: Sequence[Person], unreadable: Unreadable) -> dict[Person, list[str]]:
        orders = await self._connection.ask_all([("HGET", person.key, "o") for person in some], at_once=1000)
        listed = {}
        for person, order in zip(some, orders, strict=True):
            with unreadable.left_out(person.pseudonym):
                listed[person] = _listed(order)
        return listed

    def opened(self, person: Person, checkpoint_id: str, sealed: Reply) -> UserEmbedding | None:
        """What stands in the field of that checkpoint, None where it is not there."""
        if sealed is None:
            return None
        content = self._people.ring.open(person.pseudonym, _sealed_as(checkpoint_id), sealed)
        return embedding_from_bytes(checkpoint_id, content)


async def _held_dim(connection: RedisConnection, checkpoint_id: str, given: int) -> int:
    """How long embeddings for that checkpoint are: as long as the first that was given."""
    await connection.ask("HSETNX", _DIMS, checkpoint_id, given)
    held = await connection.ask("HGET", _DIMS, checkpoint_id)
    return int(held) if held is not None else given


def _listed(order: bytes | None) -> list[str]:
    """The checkpoint ids of the field `o`, the one put last first."""
    try:
        ids: list[str] = json.loads(order or b"[]")
    except ValueError:
        raise CorruptStore("the list of a person's checkpoints is damaged") from None
    return ids


def field_of(checkpoint_id: str) -> str:
    """Where a person's hash has the embedding for that checkpoint."""
    return f"e:{checkpoint_id}"


def _sealed_as(checkpoint_id: str) -> bytes:
    return b"embedding:" + checkpoint_id.encode()
