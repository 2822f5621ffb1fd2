"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from hearth import environment

RegistryOption: TypeAlias = Annotated[
    Path, typer.Option("--registry", envvar=environment.REGISTRY, help="Folder of the checkpoint registry.")
]
SigningKeyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--signing-key", help=f"PEM file of the key that signs; made if absent. [{environment.SIGNING_KEY}]"),
]
TrustOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--trust", help="PEM file of a public key to trust; may be given again. Default: your own key."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
ItemsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--items", help="Catalogue: items.csv[.gz] with item_id,title,category.")
]
