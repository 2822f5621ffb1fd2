"""`hearth people new-key` and `rotate`: the keys that seal what a cell holds of people."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import (
    AdCountersOption,
    CellOption,
    JsonOption,
    RedisSettingsOption,
    SocialGraphOption,
    StoreKeyOption,
)
from hearth.terminal import OUT, print_json

app = typer.Typer()


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
