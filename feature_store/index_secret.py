"""The secret that a store's pseudonyms are made with: random, made once, and kept in the store itself, sealed.

A SQLite file keeps it in a table header (name TEXT PRIMARY KEY, value BLOB), a Redis in a hash of its own.
"""

import secrets
import sqlite3

from feature_store.encryption import KEY_BYTES, KeyRing
from feature_store.redis_connection import RedisConnection
from feature_store.redis_scripts import MAKE, REPLACE
from feature_store.sqlite_file import SQLiteFile

HEADER_TABLE = "CREATE TABLE header (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_PERSON, _NAME = b"", b"index"
_SELECT = "SELECT value FROM header WHERE name = 'index'"


async def sqlite_secret(file: SQLiteFile, keys: KeyRing) -> bytes:
    """The secret of the file, which is made where there is none."""
    fresh = keys.seal(_PERSON, _NAME, secrets.token_bytes(KEY_BYTES))

    def made(connection: sqlite3.Connection) -> bytes:
        connection.execute("INSERT OR IGNORE INTO header VALUES ('index', ?)", (fresh,))  # another may have been first
        [sealed] = connection.execute(_SELECT).fetchone()
        return keys.open(_PERSON, _NAME, sealed)

    return await file.write(made)


def reseal_sqlite_secret(connection: sqlite3.Connection, keys: KeyRing) -> int:
    """Seal it with the newest key, within a transaction; how many values that were."""
    [sealed] = connection.execute(_SELECT).fetchone()
    if keys.key_id(sealed) == keys.newest:
        return 0
    fresh = keys.seal(_PERSON, _NAME, keys.open(_PERSON, _NAME, sealed))
    return connection.execute("UPDATE header SET value = ? WHERE name = 'index'", (fresh,)).rowcount


async def redis_secret(connection: RedisConnection, header: bytes, keys: KeyRing) -> bytes:
    """The secret in that hash of a Redis, which is made where there is none."""
    fresh = keys.seal(_PERSON, _NAME, secrets.token_bytes(KEY_BYTES))
    [sealed] = (await connection.write(MAKE, header, _NAME, fresh)).reply
    return keys.open(_PERSON, _NAME, sealed)


async def reseal_redis_secret(connection: RedisConnection, header: bytes, keys: KeyRing) -> int:
    """Seal it with the newest key; how many values that were."""
    sealed = await connection.ask("HGET", header, _NAME)
    if keys.key_id(sealed) == keys.newest:
        return 0
    fresh = keys.seal(_PERSON, _NAME, keys.open(_PERSON, _NAME, sealed))
    return int((await connection.write(REPLACE, header, _NAME, sealed, fresh)).reply)
