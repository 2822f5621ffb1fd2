"""Where a cell's people are, as the command line says it: SQLite files or a Redis, and the keys that seal them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import ValidationError

from feature_store.cell import Cell, CellFiles, open_cell
from feature_store.encryption import KeyRing, keys_from_environment, keys_from_file
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from feature_store.item_store_opening import is_redis
from feature_store.redis_settings import RedisSettings, with_password
from hearth import environment
from serving.settings_text import settings_in


def redis_settings(place: str, file: Path | None) -> RedisSettings | None:
    """How the Redis of that URL is reached; None where the place is no URL of a Redis.

    file: the settings that are not in the URL: username, password_file, ca_file and so on.

    Raises:
        BadInput: the URL or the file says what cannot be, or there is a file and no URL.
    """
    if not is_redis(place):
        if file is not None:
            raise BadInput(f"--redis-settings {file} are for a Redis; {place} is a file")
        return None
    named = {} if file is None else settings_in(file, file.read_bytes())
    if "url" in named or "password" in named:
        raise BadInput(f"{file} names the url or the password: those are --store, and a file in password_file")
    try:
        return RedisSettings(url=place, **named)
    except ValidationError as error:  # says what was wrong, but not the URL, which may hold a password
        raise BadInput(f"{'--store' if file is None else f'--store and {file}'}: {faults_of(error)}") from None


def cell_place(
    store: str, redis_file: Path | None = None, social_graph: Path | None = None, ad_counters: Path | None = None
) -> CellFiles | RedisSettings:
    """The place of a cell that is there already; raises `BadInput` for a file that is not."""
    redis = redis_settings(store, redis_file)
    if redis is None:
        files = CellFiles(Path(store), social_graph, ad_counters)
        for file in (files.store, social_graph, ad_counters):
            if file is not None:
                require_file(file)
        return files
    if social_graph or ad_counters:
        raise BadInput("--social-graph and --ad-counters are files beside a SQLite store; a Redis holds them itself")
    return with_password(redis)


def require_file(file: Path) -> None:
    """Raise `BadInput` where there is no such file: that is a slip of the pen, and not an empty store."""
    if not file.exists():
        raise BadInput(f"there is no store {file}")


def present_keys(file: Path | None) -> KeyRing:
    """The keys that seal a store which is there already: nothing is made.

    file: the one that the command line names; None for those in the environment, else the user's own.
    """
    if file is None and environment.holds_store_keys():
        return keys_from_environment(environment.STORE_KEY)
    file = file or environment.store_keys_file()
    if not file.exists():
        raise BadInput(f"there is no key file {file}; name the store's with --store-key or {environment.STORE_KEY}")
    return keys_from_file(file)


@asynccontextmanager
async def opened_cell(place: CellFiles | RedisSettings, key_file: Path | None) -> AsyncIterator[Cell]:
    """The cell of that place, opened with the keys at hand."""
    async with open_cell(place, present_keys(key_file)) as cell:
        yield cell


def checkpoints_of(store: str, key_file: Path | None, redis_file: Path | None) -> set[str]:
    """The checkpoints that the embeddings of people in that place belong to."""
    place = cell_place(store, redis_file if is_redis(store) else None)

    async def run() -> set[str]:
        async with opened_cell(place, key_file) as cell:
            return await cell.stores.embeddings.checkpoint_ids()

    return asyncio.run(run())
