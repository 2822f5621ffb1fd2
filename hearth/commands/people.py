"""`hearth people`: what a cell holds of people, and their rights to it; beside them its keys and ties."""

import asyncio
import json
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from feature_store.errors import BadInput
from hearth.commands import people_keys, people_ties
from hearth.commands.options import (
    AdCountersOption,
    CellOption,
    JsonOption,
    RedisSettingsOption,
    SocialGraphOption,
    StoreKeyOption,
    TenantOption,
)
from hearth.terminal import ERR, OUT, print_json, table

if TYPE_CHECKING:
    from feature_store.rights import ErasureReceipt

_DAY = 86_400.0

app = typer.Typer(
    help="What a cell holds of people, and their rights to it.\n\n"
    "Example: `hearth people export anna --store people.sqlite`",
    no_args_is_help=True,
)
app.add_typer(people_keys.app)
app.add_typer(people_ties.app)

UserArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="USER", help="The person's id; - reads it from stdin, where no list of processes has it."),
]


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
