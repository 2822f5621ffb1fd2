"""The processes of a federation: what each is started with."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Literal

from feature_store.durable import create, replace
from feature_store.errors import BadInput
from hearth.federation.certificates import (
    ensure_authority,
    ensure_certificate,
    ensure_node_key,
    ensure_secret,
)
from hearth.federation.child import MARK, ChildSpec
from hearth.federation.layout import CellFolder, Layout, Plan
from hearth.federation.ports import LOOPBACK, listens
from training.federation.centre_sums import CentreSums, read_centre_sums, says_how, write_centre_sums
from training.federation.node_key_files import SUFFIX
from training.federation.server_app import CENTRE
from training.federation.trainer import TrainerSettings
from training.federation.trainer_socket import is_ready

OFFLINE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",  # seconds; Flower's own is 1, twice in each message's way
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}


_REFUSED_ENDS = 8
"""Of a SuperNode that was killed and is not let in before the SuperLink has missed it for a minute: with the pauses
between them so many ends take longer than that."""
_OWNER_ALONE = 0o077  # the SuperLink's state has messages in it: sums of single cells, where they are in the clear


def environment(layout: Layout) -> dict[str, str]:
    """What all processes have: Flower's commands are found, nothing is fetched, and the mark says whose they are."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **OFFLINE,
        MARK: str(layout.folder),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }


def make_files(layout: Layout, plan: Plan, public_key: Path) -> None:
    """Certificates, keys, secrets and settings, as far as they are not there.

    public_key: whose checkpoints the cells adopt.
    """
    cells = plan.cells
    ensure_authority(layout.authority, layout.authority_key)
    ensure_certificate(layout.certificate, layout.certificate_key, layout.authority, layout.authority_key)
    ensure_secret(layout.secret)
    for folder in (layout.logs, layout.centre, layout.flower):
        folder.mkdir(parents=True, exist_ok=True)
    for cell in map(layout.cell, cells):
        cell.flower.mkdir(parents=True, exist_ok=True)
        ensure_certificate(cell.certificate, cell.certificate_key, layout.authority, layout.authority_key)
        ensure_node_key(cell.private_key, cell.public_key)
        ensure_secret(cell.secret)
    for file in layout.folder.glob(f"{layout.database.name}*"):  # made before it was for its owner alone
        file.chmod(0o600)
    _pin_keys(layout, cells)
    _say_how_sums_are_added(layout.centre, plan)
    for cell in map(layout.cell, cells):
        if not cell.trainer_settings.exists():
            settings = TrainerSettings(
                folder=cell.trainer_folder,
                socket=cell.socket,
                store=cell.store,
                store_keys=cell.store_keys,
                registry=str(layout.registry),
                trusted_keys=(public_key,),
                least_people=plan.least_people,
                secure=not plan.plain_sums,
                draws="announced" if plan.announced_draws else "own",
                name=cell.name,
                node_key=cell.private_key,
                pinned=cell.pinned,
            )
            replace(cell.trainer_settings, settings.model_dump_json(indent=2).encode())


def _say_how_sums_are_added(centre: Path, plan: Plan) -> None:
    """Where the centre's folder says nothing yet: an operator may have said how many cells may collude.

    Raises:
        BadInput: it says another way than the plan.
    """
    sums: Literal["plain", "masked"] = "plain" if plan.plain_sums else "masked"
    said = read_centre_sums(centre)
    if not says_how(centre):
        write_centre_sums(centre, CentreSums(sums=sums))
    elif said.sums != sums:
        raise BadInput(f"{centre} has its sums added {said.sums}, and the federation is planned to add them {sums}")


def _pin_keys(layout: Layout, cells: tuple[str, ...]) -> None:
    """Each cell's public key at the centre and in every cell, once: a key that somebody takes away stays away.

    On one machine whoever starts all of them says who they are. Cells on machines of their own are told by somebody
    whom they trust more than the centre.
    """
    for folder in (layout.node_keys, *(layout.cell(name).pinned for name in cells)):
        if folder.exists():
            continue
        draft = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in cells:
            create(draft / f"{name}{SUFFIX}", layout.cell(name).public_key.read_bytes())
        draft.rename(folder)


def superlink(layout: Layout, port: int) -> ChildSpec:
    """The SuperLink: the centre's one port, for nodes, apps and operators."""
    arguments = (
        "flower-superlink",
        *("--host", LOOPBACK, "--port", str(port)),
        *("--ssl-certfile", str(layout.certificate), "--ssl-keyfile", str(layout.certificate_key)),
        *("--ssl-ca-certfile", str(layout.authority)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(layout.secret)),
        *("--database", str(layout.database)),
        "--enable-supernode-auth",
    )
    own = {"FLWR_HOME": str(layout.flower)}
    return ChildSpec("superlink", arguments, own, partial(listens, port, layout.authority), _OWNER_ALONE)


def superlink_superexec(layout: Layout, port: int) -> ChildSpec:
    """What starts a ServerApp for each run."""
    own = {"FLWR_HOME": str(layout.flower), CENTRE: str(layout.centre)}
    arguments = ("flower-superexec", *_superexec(layout.authority, port, layout.secret))
    return ChildSpec("superlink-superexec", arguments, own)


def trainer(cell: CellFolder) -> ChildSpec:
    """What computes for the cell."""
    arguments = (sys.executable, "-m", "training.federation.trainer", str(cell.trainer_settings))
    return ChildSpec(f"{cell.name}-trainer", arguments, {}, partial(is_ready, cell.socket))


def supernode(layout: Layout, cell: CellFolder, superlink_port: int, port: int) -> ChildSpec:
    """What speaks to the SuperLink for the cell."""
    arguments = (
        *(sys.executable, "-m", "hearth.federation.supernode"),
        *("--superlink", f"{LOOPBACK}:{superlink_port}", "--root-certificates", str(layout.authority)),
        *("--auth-supernode-private-key", str(cell.private_key)),
        *("--host", LOOPBACK, "--port", str(port)),
        *("--ssl-certfile", str(cell.certificate), "--ssl-keyfile", str(cell.certificate_key)),
        *("--ssl-ca-certfile", str(layout.authority)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(cell.secret)),
        *("--node-config", f'trainer="{cell.socket}"'),
    )
    own = {"FLWR_HOME": str(cell.flower)}
    is_ready = partial(listens, port, layout.authority)
    return ChildSpec(f"{cell.name}-supernode", arguments, own, is_ready, most_ends=_REFUSED_ENDS)


def supernode_superexec(layout: Layout, cell: CellFolder, port: int) -> ChildSpec:
    """What forks a ClientApp for each message."""
    own = {"FLWR_HOME": str(cell.flower)}
    arguments = (
        *(sys.executable, "-m", "hearth.federation.superexec"),
        *_superexec(layout.authority, port, cell.secret),
    )
    return ChildSpec(f"{cell.name}-superexec", arguments, own)


def _superexec(authority: Path, port: int, secret: Path) -> tuple[str, ...]:
    return (
        *("--runtime-api-address", f"{LOOPBACK}:{port}", "--root-certificates", str(authority)),
        *("--superexec-auth-secret-file", str(secret)),
    )
