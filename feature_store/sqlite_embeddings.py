"""User embeddings in a SQLite file: of each person and checkpoint one row, sealed."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing, pseudonym
from feature_store.events import require_id
from feature_store.export import exported_embeddings
from feature_store.person_bytes import embedding_from_bytes, embedding_to_bytes
from feature_store.sqlite_events import resealed
from feature_store.sqlite_file import SQLiteFile
from feature_store.stores import KEPT_CHECKPOINTS, JsonObject, require_dim
from feature_store.unreadable import Unreadable

# The arrival says which of a person's embeddings were put last.
_PUT = (
    "INSERT OR REPLACE INTO embeddings (pseudonym, checkpoint, arrival, sealed) VALUES "
    "(?1, ?2, (SELECT COALESCE(MAX(arrival), 0) + 1 FROM embeddings WHERE pseudonym = ?1), ?3)"
)
_DELETE_EARLIER = (
    "DELETE FROM embeddings WHERE pseudonym = ?1 AND checkpoint NOT IN "
    "(SELECT checkpoint FROM embeddings WHERE pseudonym = ?1 ORDER BY arrival DESC LIMIT ?2)"
)
_ONE = "SELECT sealed FROM embeddings WHERE pseudonym = ? AND checkpoint = ?"
_SOME = (
    "SELECT pseudonym, checkpoint, sealed FROM embeddings WHERE (pseudonym, checkpoint) > (?, ?) "
    "ORDER BY pseudonym, checkpoint LIMIT ?"
)
_AT_A_TIME = 1000  # that one transaction goes through


class SQLiteUserEmbeddingStore:
    """Embeddings in a table."""

    def __init__(self, file: SQLiteFile, keys: KeyRing, secret: bytes) -> None:
        self._file, self._keys, self._secret = file, keys, secret

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """See `UserEmbeddingStore.put`."""
        await self.put_many({user_id: embedding})

    async def put_many(self, embeddings: Mapping[str, UserEmbedding]) -> None:
        """See `UserEmbeddingStore.put_many`. In one transaction: all are kept or none."""
        for user_id in embeddings:
            require_id("user_id of an embedding", user_id)

        def operation(connection: sqlite3.Connection) -> None:
            for user_id, embedding in embeddings.items():
                self._put(connection, pseudonym(self._secret, user_id), embedding)

        await self._file.write(operation)

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """See `UserEmbeddingStore.get`."""
        return (await self.get_many([user_id], checkpoint_id))[0]

    async def get_many(self, user_ids: Sequence[str], checkpoint_id: str) -> list[UserEmbedding | None]:
        """See `UserEmbeddingStore.get_many`."""
        people = [pseudonym(self._secret, user_id) for user_id in user_ids]

        def operation(connection: sqlite3.Connection) -> list[UserEmbedding | None]:
            rows = [connection.execute(_ONE, (person, checkpoint_id)).fetchone() for person in people]
            return [
                None if row is None else self.opened(person, checkpoint_id, row[0])
                for person, row in zip(people, rows, strict=True)
            ]

        return await self._file.read(operation)

    def opened(self, person: bytes, checkpoint: str, sealed: bytes) -> UserEmbedding:
        """The embedding of the person of that pseudonym, from the column `sealed` of its row."""
        return embedding_from_bytes(checkpoint, self._keys.open(person, _name(checkpoint), sealed))

    async def delete(self, user_id: str) -> int:
        """See `UserEmbeddingStore.delete`. When it returns, neither the rows nor the log of the file hold any."""
        person = pseudonym(self._secret, user_id)
        delete = "DELETE FROM embeddings WHERE pseudonym = ?"
        return await self._file.erase(lambda connection: connection.execute(delete, (person,)).rowcount)

    async def export(self, user_id: str) -> JsonObject:
        """See `UserEmbeddingStore.export`."""
        person = pseudonym(self._secret, user_id)

        def operation(connection: sqlite3.Connection) -> list[UserEmbedding]:
            rows = connection.execute("SELECT checkpoint, sealed FROM embeddings WHERE pseudonym = ?", (person,))
            return [self.opened(person, checkpoint, sealed) for checkpoint, sealed in rows.fetchall()]

        return exported_embeddings(user_id, await self._file.read(operation))

    async def checkpoint_ids(self) -> set[str]:
        """See `UserEmbeddingStore.checkpoint_ids`."""
        select = "SELECT DISTINCT checkpoint FROM embeddings"
        return {
            checkpoint
            for (checkpoint,) in await self._file.read(lambda connection: connection.execute(select).fetchall())
        }

    async def rotate(self) -> int:
        """See `UserEmbeddingStore.rotate`. Some at a time: between two steps others may read and write."""
        unreadable = Unreadable()
        sealed, last = 0, (b"", "")
        while True:
            done, following = await self._file.write(partial(self._rotate_some, last=last, unreadable=unreadable))
            sealed += done
            if following is None:
                unreadable.tell(str(self._file.path), f"{sealed} embeddings were sealed anew")
                return sealed
            last = following

    def _put(self, connection: sqlite3.Connection, person: bytes, embedding: UserEmbedding) -> None:
        checkpoint, dim = embedding.checkpoint_id, len(embedding.vector)
        connection.execute("INSERT OR IGNORE INTO checkpoints VALUES (?, ?)", (checkpoint, dim))
        [held] = connection.execute("SELECT dim FROM checkpoints WHERE checkpoint = ?", (checkpoint,)).fetchone()
        require_dim(embedding, held)
        sealed = self._keys.seal(person, _name(checkpoint), embedding_to_bytes(embedding))
        connection.execute(_PUT, (person, checkpoint, sealed))
        connection.execute(_DELETE_EARLIER, (person, KEPT_CHECKPOINTS))

    def _rotate_some(
        self, connection: sqlite3.Connection, last: tuple[bytes, str], unreadable: Unreadable
    ) -> tuple[int, tuple[bytes, str] | None]:
        rows, done = connection.execute(_SOME, (*last, _AT_A_TIME)).fetchall(), 0
        for person, checkpoint, sealed in rows:
            with unreadable.left_out(person):
                renewed = resealed(self._keys, person, _name(checkpoint), sealed)
                if renewed is not sealed:
                    update = "UPDATE embeddings SET sealed = ? WHERE pseudonym = ? AND checkpoint = ?"
                    connection.execute(update, (renewed, person, checkpoint))
                    done += 1
        return done, rows[-1][:2] if rows else None


def _name(checkpoint: str) -> bytes:
    return b"embedding:" + checkpoint.encode()
