"""The connections to a single Redis: as many as its settings allow, each for one batch of commands at a time.

redis-py's own pool asks its locks, its counters and its listeners at each command: a third of what a command costs.
Connecting, logging in, writing and reading stay redis-py's.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

Argument: TypeAlias = bytes | str | int
Command: TypeAlias = tuple[Argument, ...]
Reply: TypeAlias = Any  # what Redis answers: bytes, numbers, None, and lists of them


class RedisConnections:
    """Connections that are made when they are first needed, and stay.

    make: makes one that is not connected yet.
    most: how many there are at most. Who comes when all are in use waits, first come, first served.
    timeout_seconds: for the whole of a batch, waiting for a connection not counted.
    """

    def __init__(self, make: Callable[[], AbstractConnection], most: int, timeout_seconds: float) -> None:
        self._make, self._timeout_seconds = make, timeout_seconds
        # redis-py's own blocking pool lets some wait for ever when many do.
        self._free = asyncio.Semaphore(most)
        self._idle: list[AbstractConnection] = []
        self._made: list[AbstractConnection] = []

    async def replies(self, commands: Sequence[Command]) -> list[Reply | ResponseError]:
        """Send the commands in one piece, and wait for all replies; what the server refuses is an error among them.

        Raises:
            RedisError, OSError, TimeoutError: the server cannot be reached, or has not answered all in time.
        """
        async with self._free:
            connection = self._idle.pop() if self._idle else self._new()
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await _make_ready(connection)
                    # Who is interrupted from here on, by the time too, leaves a connection that redis-py has closed.
                    await connection.send_packed_command(connection.pack_commands(commands))
                    return [await _reply(connection) for _ in commands]
            finally:
                self._idle.append(connection)

    async def aclose(self) -> None:
        """Close all of them."""
        for connection in self._made:
            await connection.disconnect(nowait=True)

    def _new(self) -> AbstractConnection:
        connection = self._make()
        self._made.append(connection)
        return connection


async def _make_ready(connection: AbstractConnection) -> None:
    if connection.is_connected and await connection.can_read():
        await connection.disconnect(nowait=True)  # the server has closed it
    if not connection.is_connected:
        await connection.connect()  # type: ignore[no-untyped-call] # redis-py


async def _reply(connection: AbstractConnection) -> Reply | ResponseError:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
