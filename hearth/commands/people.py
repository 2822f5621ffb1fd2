"""`hearth people`: what a cell holds of people, their rights to it, and the keys that seal it."""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from feature_store.errors import BadInput
from hearth.commands.options import (
    AdCountersOption,
    CellOption,
    JsonOption,
    RedisSettingsOption,
    SocialGraphOption,
    StoreKeyOption,
)
from hearth.terminal import ERR, OUT, print_json, table

if TYPE_CHECKING:
    from feature_store.rights import ErasureReceipt
    from feature_store.social_graph import SocialGraph

_DAY = 86_400.0

app = typer.Typer(
    help="What a cell holds of people, and their rights to it.\n\n"
    "Example: `hearth people export anna --store people.sqlite`",
    no_args_is_help=True,
)

UserArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="USER", help="The person's id; - reads it from stdin, where no list of processes has it."),
]


TenantOption: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", help="Whose person it is, where a server keeps tenants apart.")
]


class TieName(StrEnum):
    """The kinds of ties, as the command line names them."""

    FOLLOW = "follow"
    FRIEND = "friend"
    BLOCK = "block"
    MUTE = "mute"


@app.command("export")
def export(
    user: UserArgument,
    store: CellOption,
    tenant: TenantOption = None,
    out: Annotated[Path | None, typer.Option(help="A new file, for your eyes only. Default: stdout.")] = None,
    social_graph: SocialGraphOption = None,
    ad_counters: AdCountersOption = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
) -> None:
    """Write all that is held of a person as one JSON document.

    Example: `hearth people export anna --store people.sqlite --out anna.json`
    """
    from feature_store.durable import create
    from feature_store.rights import export_person
    from hearth.cells import cell_place, opened_cell
    from serving.access.tenants import person_of

    place = cell_place(store, redis_settings, social_graph, ad_counters)
    user_id = _id(user)
    person = person_of(tenant, user_id)

    async def run() -> dict[str, object]:
        async with opened_cell(place, store_key) as cell:
            return {**await export_person(cell.stores, person, cell.further), "user_id": user_id}

    document = asyncio.run(run())
    if out is None:
        print_json(document)
        return
    try:
        create(out, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(), mode=0o600)
    except FileExistsError:
        raise BadInput(f"{out} is there already; an export goes to a new file") from None
    ERR.print(f"written: {out}", soft_wrap=True)


@app.command("erase")
def erase(
    user: UserArgument,
    store: CellOption,
    tenant: TenantOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Do not write the store's files anew: sealed remains stay in them.")
    ] = False,
    social_graph: SocialGraphOption = None,
    ad_counters: AdCountersOption = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove all that is held of a person, read every place again, and give a receipt.

    The status is 0 where nothing is left. Servers may go on meanwhile; events that they are sent at that moment stay,
    and the receipt says so.

    Example: `hearth people erase anna --store people.sqlite --yes --json`
    """
    from feature_store.rights import erase_person
    from hearth.cells import cell_place, opened_cell
    from serving.access.tenants import person_of

    place = cell_place(store, redis_settings, social_graph, ad_counters)
    user_id = _id(user)
    person = person_of(tenant, user_id)
    if not yes:
        _confirm(f"Remove all that {store} holds of {user_id}?")

    async def run() -> "ErasureReceipt":
        async with opened_cell(place, store_key) as cell:
            return await erase_person(cell.stores, person, cell.further, rewrite_files=not keep_files)

    receipt = asyncio.run(run())
    if as_json:
        print_json(receipt.as_json())
    else:
        rows = ((name, f"{count:,}", f"{receipt.left[name]:,}") for name, count in receipt.removed.items())
        OUT.print(table(f"Erased: {receipt.pseudonym}", ("place", "removed", "left"), rows))
        OUT.print("the files were written anew" if receipt.files_rewritten else "the files were not written anew")
    if not receipt.is_complete:
        raise BadInput("the person did something meanwhile, which is still there: erase again")


@app.command("forget")
def forget(
    store: CellOption,
    older_than: Annotated[float | None, typer.Option(min=0, help="Days: events older than that go.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Events before that day go, as 2025-12-31.")
    ] = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget everybody's old events, and the embeddings that were made from them: retention, for a daily job.

    Example: `hearth people forget --older-than 365 --store people.sqlite`
    """
    from feature_store.rights import forget_before
    from hearth.cells import cell_place, opened_cell

    limit = _limit(older_than, before)
    place = cell_place(store, redis_settings)

    async def run() -> int:
        async with opened_cell(place, store_key) as cell:
            forgotten = await forget_before(cell.stores, limit)
            if forgotten:
                await cell.stores.events.finish_erasures()
            return forgotten

    forgotten = asyncio.run(run())
    day = datetime.fromtimestamp(limit, UTC).isoformat()
    if as_json:
        print_json({"before": day, "events": forgotten})
        return
    OUT.print(f"{forgotten:,} events from before {day} forgotten", soft_wrap=True)


@app.command("new-key")
def new_key(
    store_key: Annotated[Path, typer.Option("--store-key", help="The key file of the store.")],
    as_json: JsonOption = False,
) -> None:
    """Put a new key on top of a key file: the first step of a change of keys.

    Then restart every server that has the store open, run `hearth people rotate`, and take the old keys away.

    Example: `hearth people new-key --store-key store.keys`
    """
    from feature_store.encryption import add_key
    from hearth.cells import require_file

    require_file(store_key)
    ring = add_key(store_key)
    if as_json:
        print_json({"store_key": str(store_key), "newest": ring.newest.hex()})
        return
    OUT.print(
        f"{store_key} has a new key, {ring.newest.hex()}, on top; restart the servers of the store, then run "
        "`hearth people rotate`",
        soft_wrap=True,
    )


@app.command("rotate")
def rotate(
    store: CellOption,
    social_graph: SocialGraphOption = None,
    ad_counters: AdCountersOption = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal everything anew with the newest key; servers may go on meanwhile.

    Once this has come to 0, and no server runs that had the old key as its newest, the old key can leave the file.

    Example: `hearth people rotate --store people.sqlite --store-key store.keys`
    """
    from hearth.cells import cell_place, opened_cell, present_keys

    place = cell_place(store, redis_settings, social_graph, ad_counters)

    async def run() -> int:
        async with opened_cell(place, store_key) as cell:
            return await cell.rotate()

    sealed = asyncio.run(run())
    newest = present_keys(store_key).newest.hex()
    if as_json:
        print_json({"sealed": sealed, "newest": newest})
        return
    OUT.print(f"{sealed:,} values sealed anew with key {newest}", soft_wrap=True)


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


def _id(user: str) -> str:
    from feature_store.events import require_id

    user_id = sys.stdin.readline().rstrip("\n") if user == "-" else user
    require_id("USER", user_id)
    return user_id


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise BadInput("nobody can be asked here whether to go on; --yes says so beforehand")
    typer.confirm(question, abort=True, err=True)


def _limit(older_than: float | None, before: str | None) -> float:
    """Seconds since 1970."""
    if (older_than is None) == (before is None):
        raise BadInput("name one of --older-than DAYS and --before DATE")
    if older_than is not None:
        limit = time.time() - older_than * _DAY
        if not limit >= 0:  # NaN is not either; nothing that is kept is as old as the others ask for
            raise BadInput(f"--older-than is a number of days since 1970 at most; got {older_than:g}")
        return limit
    try:
        day = date.fromisoformat(before or "")
    except ValueError:
        raise BadInput(f"--before is a day such as 2025-12-31; got {before!r}") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
