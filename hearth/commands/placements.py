"""`hearth placements`: the file that says what a server shows where."""

from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import OUT, print_json, table

app = typer.Typer(
    help="The file that says what a server shows where.\n\nExample: `hearth placements check placements.toml`",
    no_args_is_help=True,
)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".toml or .json: placements by their names.")],
    as_json: JsonOption = False,
) -> None:
    """Say whether a server would take the file, and what is in it. The status is 1 where it would not.

    `--json` prints every setting, those included that the file leaves out.

    Example: `hearth placements check placements.toml`
    """
    from serving.placements.file import parse_placements

    placements = parse_placements(file, file.read_bytes())
    if as_json:
        print_json({name: placement.model_dump(mode="json") for name, placement in placements.items()})
        return
    rows = (
        (
            name,
            placement.vertical or "all",
            placement.tenant or "",
            ", ".join(source.kind for source in placement.sources),
            ", ".join(sorted(placement.model_fields_set - {"vertical", "tenant", "sources"})),
        )
        for name, placement in placements.items()
    )
    OUT.print(table(str(file), ("placement", "vertical", "tenant", "sources", "also set"), rows))
