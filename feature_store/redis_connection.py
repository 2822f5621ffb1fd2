"""The connection to the Redis of a cell: attempts that are bounded, and errors that are ours.

Every command that the store sends may be sent again: reading changes nothing, and each of our scripts does nothing the
second time. So a command whose outcome is unknown, because the connection was lost before the reply, is sent again
like any other.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import NoScriptError, ResponseError

from feature_store.errors import StoreUnavailable
from feature_store.lua import Script
from feature_store.redis_client import client_of
from feature_store.redis_connections import Argument, Command, RedisConnections, Reply
from feature_store.redis_errors import REDIS_ERRORS, is_passing, is_unknown_outcome, named_error
from feature_store.redis_settings import RedisSettings

Server: TypeAlias = Redis | ClusterNode

_SCANNED = 1000  # keys in one step of a scan
_AT_ONCE = 200  # commands in one round trip; of larger ones the server would hold all replies at once


class Answer(NamedTuple):
    """The reply to a command, and whether it is the reply to a further attempt after one of unknown outcome."""

    reply: Reply
    repeated: bool


class RedisConnection:
    """A server or a cluster. Each method raises a `StoreError`, and nothing of redis-py's."""

    def __init__(self, client: "Redis | RedisCluster", settings: RedisSettings) -> None:
        self._client = client
        self._settings = settings
        self._connections = _connections(client, settings) if isinstance(client, Redis) else None
        self._free = asyncio.Semaphore(settings.connections)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._connections is not None:
            await self._connections.aclose()
        await self._client.aclose()

    @property
    def place(self) -> str:
        """The server, for errors and logs."""
        return self._settings.place

    async def ask(self, *command: Argument) -> Reply:
        """The reply to one command, with a key among its arguments."""
        attempt = 0
        while True:
            try:
                return await self._one(command)
            except REDIS_ERRORS as error:
                await self._wait(error, attempt, str(command[0]))
                attempt += 1

    async def ask_all(self, commands: Sequence[Command], at_once: int = _AT_ONCE) -> list[Reply]:
        """The replies to many commands: one round trip for every so many, to each node that they concern."""
        return [answer.reply for answer in await self._answers(commands, at_once)]

    async def write(self, script: Script, key: bytes, *arguments: Argument) -> Answer:
        """Run a script on one key."""
        (answer,) = await self.write_all(script, [(key, *arguments)])
        return answer

    async def write_all(self, script: Script, runs: Sequence[Command]) -> list[Answer]:
        """Run a script many times; each run is a key and further arguments.

        Raises:
            StoreUnavailable: also where the writes are done, and fewer replicas than asked for have them in time.
        """
        return await self._answers([("EVALSHA", script.sha, 1, *run) for run in runs], _AT_ONCE, script)

    async def keys(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """The keys of that pattern, some at a time; one may come twice, one that comes or goes meanwhile may not."""
        for server in await self.masters():
            cursor = 0
            while True:
                cursor, found = await self.ask_node(server, "SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED)
                yield found
                if not cursor:
                    break

    async def masters(self) -> Sequence[Server]:
        """All servers that take writes: the one that there is, or a cluster's."""
        return [server for server in await self.servers() if not _is_replica(server)]

    async def servers(self) -> Sequence[Server]:
        """The same, with the replicas of a cluster. Those of a single server are not known."""
        if isinstance(self._client, Redis):
            return [self._client]
        attempt = 0
        while True:
            try:
                await self._client.initialize()
                return self._client.get_nodes()
            except REDIS_ERRORS as error:
                await self._wait(error, attempt, "CLUSTER SLOTS")
                attempt += 1

    async def ask_node(self, server: Server, *command: Argument) -> Reply:
        """The reply of one of the servers."""
        attempt = 0
        while True:
            try:
                async with self._free:
                    return await server.execute_command(*command)
            except REDIS_ERRORS as error:
                await self._wait(error, attempt, str(command[0]))
                attempt += 1

    def key_on(self, server: Server, pattern: str) -> str:
        """A key that belongs to that server: the pattern with a number in the place of its `*`."""
        if isinstance(self._client, Redis):
            return pattern.replace("*", "0")
        keys = (pattern.replace("*", str(number)) for number in range(1 << 20))
        for key in keys:
            if self._client.get_node_from_key(key) == server:
                return key
        raise StoreUnavailable(f"a server of the cluster at {self.place} has no slots")

    async def _answers(self, commands: Sequence[Command], at_once: int, script: Script | None = None) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(commands), at_once):
            answers += await self._some_answers(list(commands[start : start + at_once]), script)
        return answers

    async def _some_answers(self, commands: list[Command], script: Script | None) -> list[Answer]:
        answers: list[Answer | None] = [None] * len(commands)
        left, repeated, attempt = list(range(len(commands))), set[int](), 0
        while left:
            failed, worst = [], None
            replies = await self._sent([commands[place] for place in left], is_write=script is not None)
            for place, reply in zip(left, replies, strict=True):
                if isinstance(reply, NoScriptError) and script is not None:
                    # The server has been started anew, or is another one. It has done nothing.
                    commands[place] = ("EVAL", script.text, *commands[place][2:])
                    failed.append(place)
                elif isinstance(reply, REDIS_ERRORS):
                    failed.append(place)
                    if worst is None or not is_passing(reply):
                        worst = reply
                    if is_unknown_outcome(reply):
                        repeated.add(place)
                elif isinstance(reply, Exception):
                    raise reply
                else:
                    answers[place] = Answer(reply, place in repeated)
            if worst is not None:
                await self._wait(worst, attempt, str(commands[failed[0]][0]))
                attempt += 1
            left = failed
        return [answer for answer in answers if answer is not None]

    async def _sent(self, commands: Sequence[Command], *, is_write: bool) -> list[Reply | Exception]:
        """The replies of one attempt, errors among them."""
        replicas = self._settings.wait_replicas if is_write else 0
        try:
            if len(commands) == 1 and not replicas:
                return [await self._one(commands[0])]
            if isinstance(self._client, RedisCluster):
                async with self._free:
                    return await self._piped_to_cluster(self._client, commands, replicas)
            return await self._piped(commands, replicas)
        except REDIS_ERRORS as error:
            return [error] * len(commands)

    async def _one(self, command: Command) -> Reply:
        if self._connections is None:
            async with self._free:
                return await self._client.execute_command(*command)
        (reply,) = await self._connections.replies((command,))
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    async def _piped(self, commands: Sequence[Command], replicas: int) -> list[Reply | Exception]:
        if self._connections is None:
            raise ValueError("a cluster has no one connection for many commands")
        if replicas:
            commands = [*commands, ("WAIT", replicas, self._wait_milliseconds)]
        replies: list[Reply | Exception] = await self._connections.replies(commands)
        if replicas:
            self._require_replicas(replies.pop(), replicas)
        return replies

    async def _piped_to_cluster(
        self, client: RedisCluster, commands: Sequence[Command], replicas: int
    ) -> list[Reply | Exception]:
        await client.initialize()
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        if replicas:
            # Behind the writes, on the same connection to the same node. A write that is then sent on to another node
            # would pass unseen, so it is not: it fails, and is sent again.
            for node in {client.get_node_from_key(_key_of(command)) for command in commands} - {None}:
                pipeline.execute_command("WAIT", replicas, self._wait_milliseconds, target_nodes=node)
        replies: list[Reply] = await pipeline.execute(raise_on_error=False, allow_redirections=not replicas)
        done, waits = replies[: len(commands)], replies[len(commands) :]
        if any(isinstance(reply, REDIS_ERRORS) and is_passing(reply) for reply in replies):
            await client.aclose()  # the next attempt asks anew where the slots are
        elif waits:
            self._require_replicas(min(waits), replicas)
        return done

    @property
    def _wait_milliseconds(self) -> int:
        return max(1, int(self._settings.timeout_seconds * 500))  # half: the reply has to come in time, too

    def _require_replicas(self, reply: Reply, asked: int) -> None:
        if isinstance(reply, Exception):
            raise reply
        if reply < asked:
            raise StoreUnavailable(
                f"a write to the Redis at {self.place} has reached {reply} replicas in time; asked for are {asked}"
            )

    async def _wait(self, error: Exception, attempt: int, command: str) -> None:
        """Wait before the next attempt; raises the error in our words where there should be none."""
        if not is_passing(error) or attempt >= self._settings.retries:
            raise named_error(error, self.place, command) from error
        most = min(self._settings.longest_backoff_seconds, self._settings.backoff_seconds * 2**attempt)
        # Anything from nothing on, so that those who failed together do not all come back together ("full jitter").
        await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - no secret hangs on it


@asynccontextmanager
async def connected(settings: RedisSettings) -> AsyncIterator[RedisConnection]:
    """A connection for the length of the block. Nothing is sent before it is first used.

    Raises:
        BadInput: a file for TLS cannot be read.
    """
    connection = RedisConnection(client_of(settings), settings)
    try:
        yield connection
    finally:
        await connection.aclose()


def _connections(client: Redis, settings: RedisSettings) -> RedisConnections:
    return RedisConnections(client.connection_pool.make_connection, settings.connections, settings.timeout_seconds)


def _is_replica(server: Server) -> bool:
    return isinstance(server, ClusterNode) and server.server_type == "replica"


def _key_of(run: Command) -> str:
    """The key of a script's run: it stands behind the number of keys."""
    key = run[3]
    return key.decode() if isinstance(key, bytes) else str(key)
