"""Local stores in one SQLite file, sealed: for a device, and for a cell of one machine.

    header        name → value: the secret that pseudonyms are made with, sealed for nobody
    people        pseudonym → id, log, met: each sealed for the person under that name
    embeddings    pseudonym, checkpoint → arrival (which was put later), the embedding, sealed for the person
    checkpoints   checkpoint → dim, the length of its embeddings; nothing about people

So neither the file nor its log ever holds an id of a person, an event or an item, a time or a vector in plain bytes.
"""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing, pseudonym
from feature_store.event_weights import EventWeights
from feature_store.history_limits import HistoryLimits
from feature_store.index_secret_sqlite import HEADER_TABLE, sqlite_secret
from feature_store.met import MetItems
from feature_store.sqlite_embeddings import SQLiteUserEmbeddingStore
from feature_store.sqlite_events import SQLiteEventStore
from feature_store.sqlite_file import Schema, open_file
from feature_store.sqlite_glance import glancing
from feature_store.stores import Clock, LocalStores

_SCHEMA = Schema(
    application_id=0x48525448,  # "HRTH"
    version=3,
    statements=(
        HEADER_TABLE,
        """CREATE TABLE people (
            pseudonym BLOB PRIMARY KEY CHECK (length(pseudonym) = 16),
            id BLOB NOT NULL,
            log BLOB NOT NULL,
            met BLOB NOT NULL
        )""",
        """CREATE TABLE embeddings (
            pseudonym BLOB NOT NULL CHECK (length(pseudonym) = 16),
            checkpoint TEXT NOT NULL,
            arrival INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (pseudonym, checkpoint)
        )""",
        "CREATE INDEX embeddings_by_checkpoint ON embeddings (checkpoint)",
        "CREATE TABLE checkpoints (checkpoint TEXT PRIMARY KEY, dim INTEGER NOT NULL) WITHOUT ROWID",
    ),
    earlier=(
        "it was written before stores were encrypted. Delete it, or name another file: what was done is stored anew "
        "from the events that are sent again"
    ),
)
# In one statement, so that it is of one moment: what other connections write comes before both or behind both.
_PERSON = (
    "SELECT met, (SELECT sealed FROM embeddings WHERE pseudonym = ?1 AND checkpoint = ?2) "
    "FROM people WHERE pseudonym = ?1"
)
_ANYBODY = "SELECT 1 FROM people UNION ALL SELECT 1 FROM embeddings"


@asynccontextmanager
async def open_sqlite(
    path: Path,
    keys: KeyRing,
    busy_seconds: float = 5.0,
    limits: HistoryLimits | None = None,
    weights: EventWeights | None = None,
    clock: Clock = time.time,
) -> AsyncIterator[LocalStores]:
    """The two stores of that file, which is made, for its owner's eyes only, where there is none.

        async with open_sqlite(Path("hearth.sqlite"), own_keys(Path("hearth.keys"))) as stores:
            await stores.events.put([event])

    keys: seal and open all that the file holds of people.
    busy_seconds: how long an operation waits for another process that holds the file.

    Raises:
        UnknownKey: the file is sealed with a key that is not among these.
        StoreError: as `feature_store.sqlite_file.open_file`, and so does each method of the stores.
    """
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        secret = await sqlite_secret(file, keys, _ANYBODY)
        events = SQLiteEventStore(file, keys, secret, limits or HistoryLimits(), weights or EventWeights(), clock)
        embeddings = SQLiteUserEmbeddingStore(file, keys, secret)
        with glancing(file) as glance:

            async def both(user_id: str, checkpoint_id: str) -> tuple[MetItems, UserEmbedding | None]:
                """At a glance: each reply needs it."""
                person = pseudonym(secret, user_id)

                def operation(connection: sqlite3.Connection) -> tuple[MetItems, UserEmbedding | None]:
                    row = connection.execute(_PERSON, (person, checkpoint_id)).fetchone()
                    if row is None:
                        return MetItems(), None
                    met, sealed = events.opened_met(person, row[0]), row[1]
                    if sealed is None or not met.item_ids:
                        return met, None
                    return met, embeddings.opened(person, checkpoint_id, sealed)

                return await glance.read(operation)

            yield LocalStores(events, embeddings, both)
