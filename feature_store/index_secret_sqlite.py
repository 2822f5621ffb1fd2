"""The secret of a SQLite file: in the table `header`, name → value, under the name `index`."""

import sqlite3

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore
from feature_store.index_secret import new_secret, opened, resealed
from feature_store.sqlite_file import SQLiteFile

HEADER_TABLE = "CREATE TABLE header (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_SELECT = "SELECT value FROM header WHERE name = 'index'"


async def sqlite_secret(file: SQLiteFile, keys: KeyRing, anybody: str) -> bytes:
    """The secret of the file, which is made where there is none.

    anybody: a query that finds a row where the file holds somebody.

    Raises:
        CorruptStore: the file holds people and no secret, or a damaged one.
        UnknownKey: it is sealed with a key that the ring does not have.
    """

    def found(connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute(_SELECT).fetchone()
        return None if row is None else opened(keys, row[0]).secret

    def made(connection: sqlite3.Connection) -> bytes:
        secret = found(connection)  # again: another process may have been first
        if secret is not None:
            return secret
        if connection.execute(anybody).fetchone() is not None:
            raise CorruptStore("it holds people, and the secret that would find them is missing")
        secret, sealed = new_secret(keys)
        connection.execute("INSERT INTO header VALUES ('index', ?)", (sealed,))
        return secret

    secret = await file.read(found)
    return await file.write(made) if secret is None else secret


def reseal_sqlite_secret(connection: sqlite3.Connection, keys: KeyRing) -> int:
    """Seal it with the newest key, within a transaction; how many values that were."""
    [sealed] = connection.execute(_SELECT).fetchone()
    fresh = resealed(keys, sealed)
    if fresh is None:
        return 0
    return connection.execute("UPDATE header SET value = ? WHERE name = 'index'", (fresh,)).rowcount
