"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from hearth import environment


class SplitByName(StrEnum):
    """What interactions are split by, as the command line names it."""

    PERSON = "person"
    TIME = "time"


class RepeatsName(StrEnum):
    """What becomes of items met before, as the command line names it."""

    NEW = "new"
    REPEAT = "repeat"


RegistryOption: TypeAlias = Annotated[
    Path, typer.Option("--registry", envvar=environment.REGISTRY, help="Folder of the checkpoint registry.")
]
PlaceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--registry",
        metavar="PLACE",
        envvar=environment.REGISTRY,
        help="Folder of the checkpoint registry, or a URL such as s3://bucket/prefix.",
    ),
]
SigningKeyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--signing-key", help=f"PEM file of the key that signs; made if absent. [{environment.SIGNING_KEY}]"),
]
TrustOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--trust", help="PEM file of a public key to trust; may be given again. Default: your own key."),
]
ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", help="Settings in .toml or .json, as `hearth tune` writes them; options go first."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
ItemsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--items", help="Catalogue: items.csv[.gz] with item_id,title,category.")
]
SplitByOption: TypeAlias = Annotated[
    SplitByName,
    typer.Option("--split-by", help="Hold out each person's latest items, or all that happened after a point of time."),
]
RepeatsOption: TypeAlias = Annotated[
    RepeatsName,
    typer.Option("--repeats", help="By time: are items met before left out (new), or ranked and asked for (repeat)?"),
]
MinValueOption: TypeAlias = Annotated[
    float | None, typer.Option("--min-value", help="Leave out interactions with a lower value.")
]
CellOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store", metavar="PLACE", help="The people's SQLite file, or redis://host:port (rediss:// for TLS)."
    ),
]
StoreKeyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--store-key",
        help=f"File of the store's keys. Default: those in {environment.STORE_KEY}, else your own file.",
    ),
]
RedisSettingsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--redis-settings",
        help=f".toml or .json: username, password_file, ca_file, cluster... [{environment.REDIS_PASSWORD}: password]",
    ),
]
SocialGraphOption: TypeAlias = Annotated[
    Path | None, typer.Option("--social-graph", help="SQLite file of the social graph; a Redis holds it itself.")
]
AdCountersOption: TypeAlias = Annotated[
    Path | None, typer.Option("--ad-counters", help="SQLite file of the counters of ads; a Redis holds them itself.")
]
TenantOption: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", help="Whose person it is, where a server keeps tenants apart.")
]
