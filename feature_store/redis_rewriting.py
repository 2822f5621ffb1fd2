"""What an erasure leaves in the files of Redis, and how it goes.

Redis appends what it does to a file (AOF), and may save all there is to another (RDB). What was erased from memory
stands there, sealed, until the file is written anew. So an erasure leaves a note beside the header, and some time
later the servers are told to write their files; one rewriting does for all erasures before it. The note goes when
that is done: whoever opens the store after a crash in between finds it and goes on.

All stores of one Redis leave the same note: its files are theirs together.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.redis_connection import RedisConnection
from feature_store.redis_connections import Reply
from feature_store.redis_scripts import REMOVE_IF

NOTE = b"hearth:erased"
_LOG = logging.getLogger("feature_store.redis_rewriting")
_POLL = 0.1  # seconds between two looks at whether a server has finished
_PATIENCE = 3600.0  # seconds that writing a file may take
_APART = 1.1  # times the wait, at most: of several that wait since one erasure the first does it for all
_WRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")


@asynccontextmanager
async def rewriting_of(
    connection: RedisConnection, after: float | None, *, may_be_away: bool = False
) -> AsyncIterator["RedisRewriting"]:
    """The erasures of one store for the length of the block, which goes on with what somebody left unfinished.

    may_be_away: where the server cannot be reached now, it is asked later whether there is anything.
    """
    rewriting = RedisRewriting(connection, after)
    try:
        await rewriting.resume(may_be_away=may_be_away)
        yield rewriting
    finally:
        await rewriting.close()


class RedisRewriting:
    """The erasures of one store, and the task that finishes them; `rewriting_of` makes it.

    after: seconds from an erasure to the rewriting, and a little more; None leaves the files to Redis.
    """

    def __init__(self, connection: RedisConnection, after: float | None) -> None:
        self._connection, self._after = connection, after
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def erasing(self) -> AsyncIterator[None]:
        """Hold this around what erases something: the files will be written anew some time after it."""
        if self._after is None:
            yield
            return
        with suppress(StoreUnavailable):  # a full server takes a note only when the erasure has made room
            await self._note()
        try:
            yield
            await self._note()  # whoever wrote the files meanwhile has taken the first note, and what was there yet
        finally:
            self._schedule(self._after)

    async def resume(self, *, may_be_away: bool = False) -> None:
        """Go on with what somebody left unfinished; with a server that may be away, as soon as it is there."""
        if self._after is None:
            return
        try:
            is_unfinished = await self._connection.ask("GET", NOTE) is not None
        except StoreUnavailable:
            if not may_be_away:
                raise
            is_unfinished = True  # for all that is known
        if is_unfinished:
            self._schedule(self._after)

    async def finish(self) -> bool:
        """Write the files anew now, if anything was erased since they were; whether it was.

        Raises:
            StoreUnavailable: a server cannot be reached, refuses, or cannot write its file.
        """
        note = await self._connection.ask("GET", NOTE)
        if note is None:
            return False
        for server in await self._connection.servers():
            await self._rewrite(server)
        await self._connection.write(REMOVE_IF, NOTE, note)
        return True

    async def close(self) -> None:
        """End the task. The note stays for the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _note(self) -> None:
        await self._connection.ask("SET", NOTE, secrets.token_hex(8))

    def _schedule(self, after: float) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._later(after))

    async def _later(self, after: float) -> None:
        while True:
            await asyncio.sleep(after * random.uniform(1, _APART))  # noqa: S311 - no secret hangs on it
            try:
                if not await self.finish():
                    return
            except StoreError as error:
                _LOG.warning("files of Redis still hold what was erased", extra={"fields": {"reason": str(error)}})

    async def _rewrite(self, server: Reply) -> None:
        found = await self._persistence(server)
        if found["aof_enabled"]:
            await self._written(server, "BGREWRITEAOF", "aof_last_bgrewrite_status")
        saves = await self._connection.ask_node(server, "CONFIG GET", "save")
        if saves.get("save"):
            await self._written(server, "BGSAVE", "rdb_last_bgsave_status")

    async def _written(self, server: Reply, command: str, status: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        await self._idle(server, deadline)  # one that runs may have begun before the erasure
        while True:
            try:
                await self._connection.ask_node(server, command)
                break
            except StoreUnavailable:
                if not _is_writing(await self._persistence(server)):
                    raise
                await self._idle(server, deadline)  # another store's was first, and a server writes one file at a time
        found = await self._idle(server, deadline)
        if found[status] != "ok":
            raise StoreUnavailable(f"a server of the Redis at {self._connection.place} could not do {command}")

    async def _idle(self, server: Reply, deadline: float) -> Mapping[str, Reply]:
        while _is_writing(found := await self._persistence(server)):
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"a server of the Redis at {self._connection.place} is writing a file since {_PATIENCE:g} s"
                )
            await asyncio.sleep(_POLL)
        return found

    async def _persistence(self, server: Reply) -> Mapping[str, Reply]:
        found: Mapping[str, Reply] = await self._connection.ask_node(server, "INFO", "persistence")
        return found


def _is_writing(found: Mapping[str, Reply]) -> bool:
    return any(found.get(name) for name in _WRITING)
