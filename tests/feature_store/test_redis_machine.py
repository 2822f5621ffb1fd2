"""The state machine of `store_machine` on a real Redis."""

import tempfile
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings

from feature_store.encryption import KeyRing
from feature_store.redis_store import open_redis
from feature_store.stores import LocalStores
from tests.feature_store.redis_world import settings_for
from tests.feature_store.store_machine import LIMITS, WEIGHTS, StoreMachine, clock
from tests.redis_server import RedisServer, running_redis


class RedisPlace:
    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        with self.server.client() as client:
            client.flushall()

    def open(self, keys: KeyRing) -> AbstractAsyncContextManager[LocalStores]:
        return open_redis(settings_for(self.server.url), keys, limits=LIMITS, weights=WEIGHTS, clock=clock)

    def close(self) -> None:
        """The server stays for the next run."""


class RedisMachine(StoreMachine):
    new_place = RedisPlace


class TestRedisMachine(RedisMachine.TestCase):  # type: ignore[misc, name-defined] # made by Hypothesis as it runs
    settings = settings(max_examples=5, stateful_step_count=15)

    @classmethod
    def setUpClass(cls) -> None:
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory())
            RedisPlace.server = opened.enter_context(running_redis(Path(folder)))
            cls.addClassCleanup(opened.pop_all().close)


@pytest.mark.slow
class TestRedisMachineAtLength(TestRedisMachine):
    settings = settings(max_examples=50, stateful_step_count=40)
