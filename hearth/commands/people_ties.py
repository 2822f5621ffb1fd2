"""`hearth people import-ties`: who follows, befriends, blocks and mutes whom."""

import asyncio
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hearth.commands.options import JsonOption, RedisSettingsOption, StoreKeyOption, TenantOption
from hearth.terminal import OUT, print_json

if TYPE_CHECKING:
    from feature_store.social_graph import SocialGraph

app = typer.Typer()


class TieName(StrEnum):
    """The kinds of ties, as the command line names them."""

    FOLLOW = "follow"
    FRIEND = "friend"
    BLOCK = "block"
    MUTE = "mute"


@app.command("import-ties")
def import_ties(
    file: Annotated[Path, typer.Argument(help="CSV, plain or .gz: user_id, friend_id, and maybe timestamp.")],
    kind: Annotated[TieName, typer.Option(help="What all of them are.")],
    store: Annotated[
        str, typer.Option("--store", metavar="PLACE", help="The social graph's SQLite file, or redis://host:port.")
    ],
    other: Annotated[str, typer.Option(help="The column with the other end.")] = "friend_id",
    tenant: TenantOption = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add ties to a social graph: all lines of the file or, if one is bad, none. Again, it changes nothing.

    Ids are as clients send them. With `--tenant` they are that tenant's people, at both ends.

    Example: `hearth people import-ties edges.csv.gz --kind friend --store social.sqlite`
    """
    from feature_store.redis_settings import with_password
    from feature_store.social_graph_import import ImportedTies, read_ties
    from feature_store.social_graph_import import import_ties as imported
    from feature_store.social_graph_redis import open_redis_graph
    from feature_store.social_graph_sqlite import open_sqlite_graph
    from hearth.cells import present_keys
    from hearth.cells import redis_settings as settings_of
    from hearth.trust import store_keys
    from serving.access.tenants import person_of

    redis = settings_of(store, redis_settings)
    known_as = partial(person_of, tenant)
    for _ in read_ties(file, kind.value, other, known_as):  # before a key or a graph is made for it
        pass
    is_there = redis is None and Path(store).exists()
    keys = present_keys(store_key if is_there else store_keys(store_key))

    async def run() -> ImportedTies:
        async with AsyncExitStack() as opened:
            graph: SocialGraph
            if redis is None:
                graph = await opened.enter_async_context(open_sqlite_graph(Path(store), keys))
            else:
                graph = await opened.enter_async_context(open_redis_graph(with_password(redis), keys))
            return await imported(file, kind.value, graph, other, known_as)

    done = asyncio.run(run())
    if as_json:
        print_json({"lines": done.lines, "added": done.added})
        return
    OUT.print(f"{done.lines:,} lines, {done.added:,} new ties", soft_wrap=True)
