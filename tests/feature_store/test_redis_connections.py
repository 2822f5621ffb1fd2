"""The connections to one Redis, as the server counts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from feature_store.redis_connections import RedisConnections
from tests.feature_store.redis_world import until
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio

NAME = "ours"


@asynccontextmanager
async def opened(url: str, most: int = 2, timeout_seconds: float = 5.0) -> AsyncIterator[RedisConnections]:
    port = urlsplit(url).port
    connections = RedisConnections(
        lambda: Connection(host="127.0.0.1", port=port, client_name=NAME, protocol=2, socket_timeout=None),
        most,
        timeout_seconds,
    )
    try:
        yield connections
    finally:
        await connections.aclose()


def ours(client: "redis.Redis") -> set[str]:
    """The ids, at the server, of the connections that are open."""
    return {each["id"] for each in client.client_list() if each["name"] == NAME}


async def test_no_more_are_opened_than_allowed_and_all_are_closed_at_the_end(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with opened(server.url, most=2) as connections:
            await asyncio.gather(*(connections.replies([("INCR", "count")]) for _ in range(50)))
            assert client.get("count") == b"50"
            assert len(ours(client)) == 2
        await until(lambda: not ours(client), 5)


async def test_one_that_is_idle_is_used_again_and_one_that_the_server_closed_is_not(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with opened(server.url) as connections:
            for _ in range(5):
                await connections.replies([("PING",)])
            (first,) = ours(client)
            client.client_kill_filter(_id=first)
            await asyncio.sleep(0.05)  # the end of the connection is read
            assert await connections.replies([("PING",)]) == [b"PONG"]
            (second,) = ours(client)
            assert second != first


async def test_what_the_server_refuses_stands_among_the_replies_and_the_next_batch_gets_its_own(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with opened(server.url, most=1) as connections:
            one, refused, other = await connections.replies([("SET", "name", "ada"), ("INCR", "name"), ("GET", "name")])
            assert (one, other) == (b"OK", b"ada")
            assert isinstance(refused, ResponseError)
            assert await connections.replies([("ECHO", "next")]) == [b"next"]


async def test_a_reply_that_comes_too_late_is_nobody_elses(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with opened(server.url, most=1, timeout_seconds=0.2) as connections:
            with pytest.raises(TimeoutError):
                await connections.replies([("BLPOP", "nothing", 1)])
            assert await connections.replies([("ECHO", "mine")]) == [b"mine"]
