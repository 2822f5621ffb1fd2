"""`hearth keys`: the key that signs your checkpoints, and the API keys of a server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import JsonOption, SigningKeyOption
from hearth.terminal import ERR, OUT, print_json
from hearth.trust import own_key, public_file

app = typer.Typer(
    help="The key that signs your checkpoints, and the API keys of a server.\n\nExample: `hearth keys show`",
    no_args_is_help=True,
)


class ScopeName(StrEnum):
    """What an API key may do, as the command line names it."""

    RECOMMEND = "recommend"
    INGEST = "ingest"
    ADMIN = "admin"
    METRICS = "metrics"


@app.command("show")
def show(signing_key: SigningKeyOption = None, as_json: JsonOption = False) -> None:
    """Show your key's id and where its public half is; other machines pin that file with `--trust`.

    Example: `hearth keys show`
    """
    key = own_key(signing_key)
    if as_json:
        print_json({"key_id": key.public.key_id, "public_key": str(public_file(signing_key))})
        return
    OUT.print(f"key {key.public.key_id}\npublic key {public_file(signing_key)}", soft_wrap=True)


@app.command("new-api-key")
def new_api_key(
    file: Annotated[Path, typer.Option(help="The server's file of keys, .toml or .json; made if absent.")],
    name: Annotated[str, typer.Option(help="What to call the key in the file and in logs, such as shop-window.")],
    scope: Annotated[list[ScopeName], typer.Option(help="What it may do; may be given several times.")],
    tenant: Annotated[
        str | None, typer.Option(help="Whose people and placements it is for. Default: nobody's.")
    ] = None,
    per_second: Annotated[float | None, typer.Option(help="Requests a second; more are refused.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once, where there is a rate.")] = None,
    per_day: Annotated[int | None, typer.Option(help="Requests from midnight to midnight, UTC.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key, put its hash into the file, and print the key: this once, as nobody keeps it.

    Servers that watch the file let the key in a moment later.

    Example: `hearth keys new-api-key --file keys.toml --name shop-window --scope recommend --scope ingest`
    """
    from feature_store.durable import replace
    from serving.access.keys import ApiKey, hash_of, new_secret
    from serving.access.new_key import with_key

    secret = new_secret()
    limits = {"tenant": tenant, "per_second": per_second, "burst": burst, "per_day": per_day}
    scopes = {one.value for one in scope}
    key = ApiKey.model_validate({"hash": hash_of(secret), "scopes": scopes, **limits})
    is_there = file.exists()
    content = with_key(file, file.read_bytes() if is_there else b"", name, key)
    replace(file, content, mode=file.stat().st_mode & 0o777 if is_there else 0o600)
    if as_json:
        print_json({"name": name, "key": secret, "file": str(file)})
        return
    print(secret)  # noqa: T201 - a bare line, for a program to read
    ERR.print(f"its hash is in {file}, as {name}; keep the key, it is not shown again", soft_wrap=True)
