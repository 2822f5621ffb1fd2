"""`hearth items`: the catalogues that serving reads, by vertical: import them, look at them, take items out."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from feature_store.errors import BadInput
from hearth.commands.options import JsonOption, RedisSettingsOption
from hearth.terminal import ERR, OUT, print_json, table

if TYPE_CHECKING:
    from feature_store.catalogue_import import CheckedFile, Told
    from feature_store.item_schemas import ItemType, StoredItem
    from feature_store.item_store import ItemStore

app = typer.Typer(
    help="The catalogues that serving reads, by vertical.\n\n"
    "Example: `hearth items import articles.csv.gz --vertical news --store items.sqlite`",
    no_args_is_help=True,
)


class TypeName(StrEnum):
    """The types of items, as the command line names them."""

    ITEM = "item"
    PRODUCT = "product"
    ARTICLE = "article"
    POST = "post"
    AD = "ad"


StoreOption: TypeAlias = Annotated[
    str, typer.Option("--store", help="Where the items are: a SQLite file, or redis://host:port (rediss:// for TLS).")
]
VerticalOption: TypeAlias = Annotated[str, typer.Option("--vertical", help="Whose catalogue, such as e-commerce.")]


@app.command("import")
def import_items(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines (plain or .gz) or Parquet.")],
    store: StoreOption,
    vertical: VerticalOption,
    type_name: Annotated[
        TypeName | None, typer.Option("--type", help="What the items are. Default: what the vertical's name says.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="FIELD=COLUMN: a field that stands in a column of another name.")
    ] = None,
    constant: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE: what a field is where a line says nothing of it.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A column to leave out.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good lines; the first bad are listed.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove the vertical's items that are not in the file.")
    ] = False,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a catalogue: all of its lines or, if one is bad, none.

    All lines are looked at before the first is written. Importing the same file again changes nothing.

    Example: `hearth items import goods.csv --vertical e-commerce --column title=name --store i.sqlite`
    """
    from feature_store.catalogue_import import ImportPlan, checked_file, import_checked
    from feature_store.item_schemas import type_of

    chosen: ItemType = type_name.value if type_name else type_of(vertical)
    plan = ImportPlan(vertical, chosen, _pairs("--column", column), _pairs("--set", constant), frozenset(ignore or ()))
    with _told() as told:
        checked = checked_file(file, plan, told)
    _say_faults(checked)
    if checked.bad and not skip_bad:
        raise BadInput(
            f"{checked.bad:,} of {checked.bad + checked.good:,} lines of {file} are bad and nothing is imported; the "
            f"first: {checked.faults[0]}; --skip-bad imports the others"
        )

    async def run() -> dict[str, object]:
        async with _opened(store, redis_settings) as items:
            with _told(checked.good) as told:
                done = await import_checked(checked, items, told, replace=replace)
            return {
                "vertical": vertical,
                "type": chosen,
                "items": done.items,
                "changed": done.changed,
                "removed": done.removed,
                "bad": checked.bad,
                "faults": [{"line": fault.line, "reason": fault.reason} for fault in checked.faults],
                "numbers": sorted(checked.numeric),
                "count": await items.count(vertical),
                "version": await items.version(vertical),
            }

    summary = asyncio.run(run())
    if as_json:
        print_json(summary)
        return
    OUT.print(
        "{items:,} items of {file}: {changed:,} new or different, {removed:,} others removed, {bad:,} bad lines left "
        "out; {vertical} has {count:,} items now".format(file=file, **summary),
        soft_wrap=True,
    )


@app.command("show")
def show(
    store: StoreOption,
    vertical: VerticalOption,
    item: Annotated[list[str] | None, typer.Argument(metavar="[ITEM]...", help="Ids. Default: the first.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many, where no ids are given.")] = 10,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show items as the store has them.

    Example: `hearth items show 1293 2710 --vertical news --store items.sqlite`
    """
    from feature_store.item_schemas import item_to_bytes

    async def run() -> tuple[list[str], list["StoredItem | None"]]:
        async with _opened(store, redis_settings, there=True) as items:
            ids = item or list((await items.changes_since(vertical, most=most)).changed)
            return ids, await items.get_many(vertical, ids)

    ids, found = asyncio.run(run())
    if missing := [item_id for item_id, one in zip(ids, found, strict=True) if one is None]:
        raise BadInput(f"{vertical} has no item {', '.join(map(repr, missing))}")
    shown = [json.loads(item_to_bytes(one)) for one in found if one is not None]
    if as_json:
        print_json({"vertical": vertical, "items": shown})
        return
    for one in shown:
        rest = ((name, json.dumps(value, ensure_ascii=False)) for name, value in one.items() if name != "item_id")
        OUT.print(table(one["item_id"], ("field", "value"), rest))


@app.command("count")
def count(store: StoreOption, redis_settings: RedisSettingsOption = None, as_json: JsonOption = False) -> None:
    """Count the items of each vertical.

    Example: `hearth items count --store items.sqlite`
    """

    async def run() -> dict[str, int]:
        async with _opened(store, redis_settings, there=True) as items:
            return {vertical: await items.count(vertical) for vertical in await items.verticals()}

    counts = asyncio.run(run())
    if as_json:
        print_json({"items": counts})
        return
    OUT.print(table(f"Items of {store}", ("vertical", "items"), ((name, f"{n:,}") for name, n in counts.items())))


@app.command("remove")
def remove(
    item: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Ids.")],
    store: StoreOption,
    vertical: VerticalOption,
    redis_settings: RedisSettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove items; ids that the vertical does not have are counted, and no error.

    Example: `hearth items remove 1293 2710 --vertical news --store items.sqlite`
    """

    async def run() -> int:
        async with _opened(store, redis_settings, there=True) as items:
            return await items.remove(vertical, item)

    removed = asyncio.run(run())
    if as_json:
        print_json({"vertical": vertical, "removed": removed, "not_there": len(set(item)) - removed})
        return
    OUT.print(f"{removed:,} of {len(set(item)):,} items removed from {vertical}")


@asynccontextmanager
async def _opened(place: str, redis_file: Path | None, *, there: bool = False) -> AsyncIterator["ItemStore"]:
    """there: a file that there is not is no empty store, but a slip of the pen."""
    from feature_store.item_store_opening import open_items
    from feature_store.redis_settings import with_password
    from hearth.cells import redis_settings, require_file

    redis = redis_settings(place, redis_file)
    if there and redis is None:
        require_file(Path(place))
    async with open_items(place, with_password(redis) if redis else None) as items:
        yield items


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in given or ():
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise BadInput(f"{option} is FIELD=..., such as {option} title=name; got {pair!r}")
        if name in pairs:
            raise BadInput(f"{option} is given twice for {name}: {pairs[name]!r} and {value!r}")
        pairs[name] = value
    return pairs


def _say_faults(checked: "CheckedFile") -> None:
    for fault in checked.faults:
        ERR.print(f"bad: {fault}", soft_wrap=True, highlight=False)
    if checked.bad > len(checked.faults):
        ERR.print(f"and {checked.bad - len(checked.faults):,} more bad lines", highlight=False)


@contextmanager
def _told(total: int | None = None) -> Iterator["Told"]:
    """A bar on a terminal; nothing elsewhere, where the summary tells."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR, disable=not ERR.is_interactive, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda doing, done: progress.update(task, description=doing, completed=done)
