"""What the tests of the Redis store share: settings for a test's own server, and a look at what is in it."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from feature_store.encryption import KeyRing
from feature_store.redis_settings import RedisSettings

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
RING = KeyRing([OLD])

PASSWORD = "pass-of-the-cell"


def documented_user(further: str = "") -> tuple[str, ...]:
    """The command of docs/redis.md that makes the ACL user `cell`, with a password; in a cluster also `further`.

    further: how the sentence begins that names more rights.
    """
    page = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
    (command,) = re.findall(r"^ +(ACL SETUSER cell .*?)\n\n", page, re.DOTALL | re.MULTILINE)
    command = command.replace(">...", f">{PASSWORD}")
    if further:
        (rights,) = re.findall(rf"{further} `([^`]*)`", page)
        command = f"{command} {rights}"
    return tuple(command.split())


def settings_for(url: str, **options: Any) -> RedisSettings:
    """Files are written anew only when a test says so; waits are short."""
    return RedisSettings(
        **{"url": url, "rewrite_after": None, "backoff_seconds": 0.01, "timeout_seconds": 5.0, **options}
    )


def people_in(client: "redis.Redis") -> list[bytes]:
    return sorted(client.scan_iter("hearth:{*}"))


def everything_in(client: "redis.Redis") -> bytes:
    """All keys and values of a server, one behind the other."""
    found = []
    for key in sorted(client.scan_iter()):
        kind = client.type(key)
        value = (
            client.get(key) if kind == b"string" else b"".join(k + v for k, v in sorted(client.hgetall(key).items()))
        )
        found += [key, value]
    return b"\n".join(found)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for what another process, or another task, will do."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event of ours tells it
            await asyncio.sleep(0.005)
