"""`hearth keys`: the key that signs your checkpoints."""

import typer

from hearth.commands.options import JsonOption, SigningKeyOption
from hearth.terminal import OUT, print_json
from hearth.trust import own_key, public_file

app = typer.Typer(help="The key that signs your checkpoints.\n\nExample: `hearth keys show`", no_args_is_help=True)


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
