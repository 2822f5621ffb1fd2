"""`hearth models`: what the registry holds, and which of it answers requests."""

from typing import Annotated, Any

import typer

from feature_store.errors import CheckpointError
from feature_store.registry import Registry
from feature_store.stages import Stages
from hearth.commands.options import JsonOption, RegistryOption, TrustOption
from hearth.terminal import OUT, print_json, table
from hearth.trust import open_registry

app = typer.Typer(
    help="What the registry holds, and which of it answers requests.\n\nExample: `hearth models list --registry r`",
    no_args_is_help=True,
)

CheckpointArgument = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Its id.")]


@app.command("list")
def list_models(registry: RegistryOption, trust: TrustOption = None, as_json: JsonOption = False) -> None:
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
    columns = ("id", "stage", "created (UTC)", "items", "dim", "round", "valid ndcg@20")
    OUT.print(table(f"Checkpoints of {registry}", columns, map(_row, readable)))
    for entry in entries:
        if "error" in entry:
            OUT.print(f"{entry['checkpoint_id']} cannot be used: {entry['error']}", soft_wrap=True)


@app.command("show")
def show(
    checkpoint: CheckpointArgument, registry: RegistryOption, trust: TrustOption = None, as_json: JsonOption = False
) -> None:
    """Verify a checkpoint, every byte of it, and show its manifest.

    Example: `hearth models show r0040-5d0a1c9b7e21 --registry models`
    """
    manifest = open_registry(registry, trust).load(checkpoint).manifest.model_dump(mode="json")
    if as_json:
        print_json(manifest)
        return
    rows = ((name, str(value)) for name, value in manifest.items() if not isinstance(value, dict))
    OUT.print(table("", ("field", "value"), rows))
    for name in ("metrics", "training"):
        OUT.print(table(name, ("", "value"), ((key, str(value)) for key, value in manifest[name].items())))
    files = ((key, str(digest["size"]), digest["sha256"]) for key, digest in manifest["files"].items())
    OUT.print(table("files", ("", "bytes", "sha256"), files))


@app.command("promote")
def promote(
    checkpoint: CheckpointArgument, registry: RegistryOption, trust: TrustOption = None, as_json: JsonOption = False
) -> None:
    """Put a checkpoint into production; running servers swap to it by themselves.

    Example: `hearth models promote r0040-5d0a1c9b7e21 --registry models`
    """
    _show_stages(open_registry(registry, trust).promote(checkpoint), as_json=as_json)


@app.command("roll-back")
def roll_back(registry: RegistryOption, trust: TrustOption = None, as_json: JsonOption = False) -> None:
    """Put the checkpoint that was in production before back there.

    Example: `hearth models roll-back --registry models`
    """
    _show_stages(open_registry(registry, trust).roll_back(), as_json=as_json)


def _entry(registry: Registry, checkpoint_id: str) -> dict[str, Any]:
    stages = registry.stages()
    stage = (
        "production" if checkpoint_id == stages.production else "before" if checkpoint_id in stages.previous else "-"
    )
    try:
        manifest = registry.manifest(checkpoint_id)
    except CheckpointError as error:  # one broken checkpoint does not hide the others
        return {"checkpoint_id": checkpoint_id, "stage": stage, "error": str(error)}
    fields = {"created", "round_number", "dim", "metrics", "parent_id"}
    return {
        "checkpoint_id": checkpoint_id,
        "stage": stage,
        "items": manifest.items,
        **manifest.model_dump(mode="json", include=fields),
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    ndcg = entry["metrics"].get("ndcg@20")
    return (
        entry["checkpoint_id"],
        entry["stage"],
        entry["created"][:16].replace("T", " "),
        *(str(entry[name]) for name in ("items", "dim", "round_number")),
        "-" if ndcg is None else f"{ndcg:.4f}",
    )


def _show_stages(stages: Stages, *, as_json: bool) -> None:
    if as_json:
        print_json({"production": stages.production, "previous": list(stages.previous)})
        return
    before = ", ".join(reversed(stages.previous)) or "none"
    OUT.print(f"in production: {stages.production}; before it: {before}", soft_wrap=True)
