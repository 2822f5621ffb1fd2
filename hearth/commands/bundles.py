"""`hearth models bundle` and `verify-bundle`: a checkpoint as one signed file for devices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.regular_file import read_regular
from hearth.commands.options import ItemsOption, JsonOption, PlaceOption, SigningKeyOption, TrustOption
from hearth.terminal import ERR, OUT, print_json
from hearth.trust import open_registry, own_key, trusted_keys

if TYPE_CHECKING:
    from feature_store.item_bundle import ItemBundle
    from feature_store.signing import TrustedKeys

_LARGEST_FILE = 1 << 30  # bytes

SinceOption = Annotated[
    Path | None, typer.Option("--since", help="A bundle that devices have already: the file is the changes from it.")
]


def bundle(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Its id.")],
    registry: PlaceOption,
    out: Annotated[Path, typer.Option(help="The file to write; one that is there is replaced.")],
    items: ItemsOption = None,
    since: SinceOption = None,
    leave_out: Annotated[
        Path | None, typer.Option(help="A file with ids of items that are no longer offered, one a line.")
    ] = None,
    signing_key: SigningKeyOption = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what a device needs to rank by itself: int8 vectors, ids, titles, settings, signed, in one file.

    Example: `hearth models bundle r0040-5d0a1c9b7e21 --registry models --items items.csv --out films.bundle`
    """
    from feature_store.catalogue import read_catalogue
    from feature_store.item_bundle import bundle_of, make_bundle
    from feature_store.item_bundle_delta import make_delta

    loaded = open_registry(registry, trust).load(checkpoint)
    key = own_key(signing_key)
    titles = {} if items is None else {item.item_id: item.title for item in read_catalogue(items)}
    gone = frozenset[str]() if leave_out is None else _ids(leave_out)
    made = bundle_of(make_bundle(loaded, titles, key, gone))
    if gone:  # a list of other ids than meant would leave nothing out, and nobody would see it
        left_out = loaded.manifest.items - made.facts.items
        ERR.print(f"{left_out:,} of the {len(gone):,} ids of {leave_out} were items, and are left out", soft_wrap=True)
    whole = made.sealed.to_bytes()
    content = whole if since is None else make_delta(_read(since, trusted_keys(trust)), made, key)
    replace(out, content)
    _show(made, out, len(content), None if since is None else len(whole), as_json=as_json)


def verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, or the changes from another.")],
    since: Annotated[
        Path | None, typer.Option("--since", help="Where the file is changes: the bundle that they are to.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the bundle that the changes lead to.")] = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a bundle, every byte of it, or that changes lead to one, and show what it says of itself.

    Example: `hearth models verify-bundle films.bundle --trust training.pub`
    """
    from feature_store.item_bundle_delta import apply_delta

    trusted = trusted_keys(trust)
    found = _read(file, trusted) if since is None else apply_delta(_read(since, trusted), _content(file), trusted)
    if out is not None:
        replace(out, found.sealed.to_bytes())
    whole = None if since is None else len(found.sealed.to_bytes())
    _show(found, file, file.stat().st_size, whole, as_json=as_json)


def _show(found: "ItemBundle", file: Path, size: int, whole: int | None, *, as_json: bool) -> None:
    facts = {
        "bundle_id": found.bundle_id,
        "checkpoint_id": found.facts.checkpoint_id,
        "items": found.facts.items,
        "dim": found.facts.dim,
        "titles": sum(map(bool, found.titles)),
        "item_item": 0 if found.item_item is None else len(found.item_item.rows),
        "context": 0 if found.query_tower is None else len(found.query_tower.vectors),
        "key_id": found.sealed.signature.key_id,
        "file": str(file),
        "bytes": size,
        "whole_bytes": size if whole is None else whole,
    }
    if as_json:
        print_json(facts)
        return
    kind = "bundle" if whole is None else f"changes to the bundle (whole: {whole:,} bytes)"
    OUT.print(
        f"{file}, {size:,} bytes: {kind} {found.bundle_id[:12]} of {found.facts.checkpoint_id}, "
        f"{found.facts.items:,} items of {found.facts.dim} numbers, {facts['titles']:,} with a title",
        soft_wrap=True,
    )


def _read(file: Path, trusted: "TrustedKeys") -> "ItemBundle":
    from feature_store.item_bundle import read_bundle

    return read_bundle(_content(file), trusted)


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, _LARGEST_FILE)
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {file}") from error


def _ids(file: Path) -> frozenset[str]:
    """One a line; lines may end as on Windows."""
    try:
        text = _content(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from None
    return frozenset(line.removesuffix("\r") for line in text.split("\n")) - {""}
