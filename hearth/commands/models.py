"""`hearth models`: what the registry holds, which of it answers requests, and what leaves it."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from feature_store.errors import BadInput, CheckpointError
from feature_store.registry import Registry
from feature_store.registry_collection import Rules
from feature_store.stages import Entry, Stages
from hearth import environment
from hearth.commands.bundles import bundle, verify_bundle
from hearth.commands.options import JsonOption, PlaceOption, RedisSettingsOption, StoreKeyOption, TrustOption
from hearth.terminal import OUT, print_json, table
from hearth.trust import open_registry, trusted_keys

app = typer.Typer(
    help="What the registry holds, and which of it answers requests.\n\nExample: `hearth models list --registry r`",
    no_args_is_help=True,
)

CheckpointArgument = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Its id.")]
ActorOption = Annotated[
    str | None,
    typer.Option("--actor", envvar=environment.ACTOR, help="Who does this, for the trail. Default: user@machine."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the trail.")]


class StageName(StrEnum):
    """The stages, as the command line names them."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    PRODUCTION = "production"


@app.command("list")
def list_models(registry: PlaceOption, trust: TrustOption = None, as_json: JsonOption = False) -> None:
    """List all checkpoints, newest first.

    Example: `hearth models list --registry models`
    """
    opened = open_registry(registry, trust)
    entries = sorted(
        (_entry(opened, checkpoint_id) for checkpoint_id in opened.checkpoint_ids()),
        key=lambda entry: str(entry.get("created", "")),
        reverse=True,
    )
    if as_json:
        print_json({"models": entries})
        return
    readable = [entry for entry in entries if "error" not in entry]
    columns = ("id", "stage", "created (UTC)", "items", "dim", "round", "valid ndcg@20", "ε (δ)")
    OUT.print(table(f"Checkpoints of {registry}", columns, map(_row, readable)))
    for entry in entries:
        if "error" in entry:
            OUT.print(f"{entry['checkpoint_id']} cannot be used: {entry['error']}", soft_wrap=True)


@app.command("show")
def show(
    checkpoint: CheckpointArgument, registry: PlaceOption, trust: TrustOption = None, as_json: JsonOption = False
) -> None:
    """Verify a checkpoint, every byte of it, and show its manifest.

    Example: `hearth models show r0040-5d0a1c9b7e21 --registry models`
    """
    manifest = open_registry(registry, trust).load(checkpoint, fresh=True).manifest.model_dump(mode="json")
    if as_json:
        print_json(manifest)
        return
    rows = ((name, str(value)) for name, value in manifest.items() if not isinstance(value, dict))
    OUT.print(table("", ("field", "value"), rows))
    for name in ("metrics", "training"):
        OUT.print(table(name, ("", "value"), ((key, str(value)) for key, value in manifest[name].items())))
    if manifest["privacy"]:
        OUT.print(table("privacy", ("", "value"), ((key, str(value)) for key, value in manifest["privacy"].items())))
    files = ((key, str(digest["size"]), digest["sha256"]) for key, digest in manifest["files"].items())
    OUT.print(table("files", ("", "bytes", "sha256"), files))


@app.command("promote")
def promote(
    checkpoint: CheckpointArgument,
    registry: PlaceOption,
    to: Annotated[
        StageName, typer.Option("--to", help="The stage; candidate takes it out of the shadow.")
    ] = StageName.PRODUCTION,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a checkpoint into a stage, production if not said otherwise; running servers swap to it by themselves.

    Example: `hearth models promote r0040-5d0a1c9b7e21 --registry models --reason "ndcg@20 .37"`
    """
    stages = open_registry(registry, trust).promote(checkpoint, to.value, who=actor, why=reason)
    _show_stages(stages, as_json=as_json)


@app.command("roll-back")
def roll_back(
    registry: PlaceOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the checkpoint that was in production before back there.

    Example: `hearth models roll-back --registry models --reason "fewer clicks"`
    """
    _show_stages(open_registry(registry, trust).roll_back(who=actor, why=reason), as_json=as_json)


@app.command("audit")
def audit(
    registry: PlaceOption,
    most: Annotated[int, typer.Option(min=1, help="How many of the latest changes.")] = 50,
    as_json: JsonOption = False,
    trust: TrustOption = None,
) -> None:
    """Show who changed the stages, when and why, the latest change first.

    Example: `hearth models audit --registry s3://models/films --json`
    """
    entries = open_registry(registry, trust).audit(most)
    if as_json:
        print_json({"changes": [entry.model_dump(mode="json", exclude={"previous"}) for entry in entries]})
        return
    columns = ("when (UTC)", "who", "what", "checkpoint", "instead of", "why")
    OUT.print(table(f"Changes of {registry}", columns, map(_line, entries)))


@app.command("collect")
def collect(
    registry: PlaceOption,
    keep: Annotated[
        int, typer.Option(min=1, help="How many steps a roll-back can take afterwards, and how many candidates stay.")
    ] = 3,
    needed: Annotated[
        list[str] | None, typer.Option(help="Id of a checkpoint that stored people need; may be given again.")
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="People's SQLite file or redis://...: what their embeddings belong to stays. Repeatable.",
        ),
    ] = None,
    store_key: StoreKeyOption = None,
    redis_settings: RedisSettingsOption = None,
    grace_hours: Annotated[float, typer.Option(min=0, help="Nothing goes that was published since.")] = 24.0,
    keep_parents: Annotated[
        bool, typer.Option("--keep-parents", help="Keep what a kept checkpoint was trained on from.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove them; without this, only say which.")] = False,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which checkpoints nobody needs any more, and with --remove, remove them.

    Example: `hearth models collect --registry models --keep 3 --store people.sqlite --remove`
    """
    from hearth.cells import checkpoints_of

    opened = open_registry(registry, trust)
    if unknown := set(needed or ()) - set(opened.checkpoint_ids()):
        raise BadInput(f"--needed {', '.join(sorted(unknown))}: there is no such checkpoint in {registry}")
    ids = {
        *(needed or ()),
        *(name for place in store or () for name in checkpoints_of(place, store_key, redis_settings)),
    }
    rules = Rules(keep, frozenset(ids), grace_hours * 3600, keep_parents)
    collection = opened.collect(rules, dry_run=not remove, who=actor, why=reason)
    if as_json:
        print_json({"removed": list(collection.removed), "kept": dict(collection.kept), "dry_run": not remove})
        return
    for checkpoint_id, why in sorted(collection.kept.items()):
        OUT.print(f"{checkpoint_id} stays: {why}", soft_wrap=True)
    for checkpoint_id in collection.removed:
        OUT.print(f"{checkpoint_id} {'is removed' if remove else 'would go'}", soft_wrap=True)


@app.command("copy")
def copy(
    checkpoint: CheckpointArgument,
    registry: Annotated[str, typer.Option("--from", metavar="PLACE", help="The registry that it is in.")],
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="The registry that it goes to, folder or URL.")],
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a checkpoint to another registry as it was signed, such as from a folder to an object store.

    Example: `hearth models copy r0040-5d0a1c9b7e21 --from models --to s3://models/films`
    """
    target = Registry(to, trusted_keys(trust))
    manifest = target.copy(checkpoint, open_registry(registry, trust))
    if as_json:
        print_json({"checkpoint_id": manifest.checkpoint_id, "registry": target.place})
        return
    OUT.print(f"{manifest.checkpoint_id} is in {target.place}", soft_wrap=True)


app.command("bundle")(bundle)
app.command("verify-bundle")(verify_bundle)


def _entry(registry: Registry, checkpoint_id: str) -> dict[str, Any]:
    stages = registry.stages()
    stage: str = stages.of(checkpoint_id)
    if stage == "candidate" and checkpoint_id in stages.previous:
        stage = "before"
    try:
        manifest = registry.manifest(checkpoint_id)
    except CheckpointError as error:  # one broken checkpoint does not hide the others
        return {"checkpoint_id": checkpoint_id, "stage": stage, "error": str(error)}
    fields = {"created", "round_number", "dim", "metrics", "parent_id", "privacy"}
    return {
        "checkpoint_id": checkpoint_id,
        "stage": stage,
        "items": manifest.items,
        **manifest.model_dump(mode="json", include=fields),
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    ndcg, privacy = entry["metrics"].get("ndcg@20"), entry["privacy"]
    return (
        entry["checkpoint_id"],
        entry["stage"],
        entry["created"][:16].replace("T", " "),
        *(str(entry[name]) for name in ("items", "dim", "round_number")),
        "-" if ndcg is None else f"{ndcg:.4f}",
        "-" if privacy is None else f"{privacy['epsilon']:g} ({privacy['delta']:g})",
    )


def _line(entry: Entry) -> tuple[str, ...]:
    change = entry.change
    if change is None:
        return ("-", "-", "-", entry.production or "-", "-", "written by an earlier Hearth, or by hand")
    what = f"{change.what} to {change.to_stage}" if change.to_stage else change.what
    of = change.checkpoint_id or f"{len(change.removed)} checkpoints"
    return (change.when.isoformat()[:19].replace("T", " "), change.who, what, of, change.replaced or "-", change.why)


def _show_stages(stages: Stages, *, as_json: bool) -> None:
    if as_json:
        print_json({"production": stages.production, "previous": list(stages.previous), "shadow": stages.shadow})
        return
    before = ", ".join(reversed(stages.previous)) or "none"
    shadow = "" if stages.shadow is None else f"; in the shadow: {stages.shadow}"
    OUT.print(f"in production: {stages.production}; before it: {before}{shadow}", soft_wrap=True)
