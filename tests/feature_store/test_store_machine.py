"""The state machine of `store_machine` on a SQLite file."""

import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from hypothesis import HealthCheck, settings

from feature_store.encryption import KeyRing
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from tests.feature_store.store_machine import LIMITS, WEIGHTS, StoreMachine, clock


class SQLitePlace:
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()

    def open(self, keys: KeyRing) -> AbstractAsyncContextManager[LocalStores]:
        path = Path(self.folder.name, "hearth.sqlite")
        return open_sqlite(path, keys, limits=LIMITS, weights=WEIGHTS, clock=clock)

    def close(self) -> None:
        self.folder.cleanup()


class SQLiteMachine(StoreMachine):
    new_place = SQLitePlace


TestSQLiteMachine = SQLiteMachine.TestCase
# A busy machine is no failure of a store.
TestSQLiteMachine.settings = settings(
    max_examples=15, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
