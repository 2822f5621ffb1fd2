"""The processes of a federation: what each is started with."""

import os
import sys
from functools import partial
from pathlib import Path

from feature_store.durable import replace
from hearth.federation.certificates import (
    ensure_authority,
    ensure_certificate,
    ensure_node_key,
    ensure_secret,
)
from hearth.federation.child import MARK, ChildSpec
from hearth.federation.layout import CellFolder, Layout
from hearth.federation.ports import LOOPBACK, listens
from training.federation.server_app import CENTRE
from training.federation.trainer import TrainerSettings
from training.federation.trainer_socket import is_ready

_OFFLINE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",  # seconds; Flower's own is 1, twice in each message's way
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}


def environment(layout: Layout) -> dict[str, str]:
    """What all processes have: Flower's commands are found, nothing is fetched, and the mark says whose they are."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **_OFFLINE,
        MARK: str(layout.folder),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }


def make_files(layout: Layout, cells: tuple[str, ...], least_people: int, public_key: Path) -> None:
    """Certificates, keys, secrets and settings, as far as they are not there.

    public_key: whose checkpoints the cells adopt.
    """
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
        if not cell.trainer_settings.exists():
            settings = TrainerSettings(
                folder=cell.trainer_folder,
                socket=cell.socket,
                store=cell.store,
                store_keys=cell.store_keys,
                registry=str(layout.registry),
                trusted_keys=(public_key,),
                least_people=least_people,
            )
            replace(cell.trainer_settings, settings.model_dump_json(indent=2).encode())


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
    return ChildSpec("superlink", arguments, own, partial(listens, port, layout.authority))


def superlink_superexec(layout: Layout, port: int) -> ChildSpec:
    """What starts a ServerApp for each run."""
    own = {"FLWR_HOME": str(layout.flower), CENTRE: str(layout.centre)}
    return ChildSpec("superlink-superexec", _superexec(layout.authority, port, layout.secret), own)


def trainer(cell: CellFolder) -> ChildSpec:
    """What computes for the cell."""
    arguments = (sys.executable, "-m", "training.federation.trainer", str(cell.trainer_settings))
    return ChildSpec(f"{cell.name}-trainer", arguments, {}, partial(is_ready, cell.socket))


def supernode(layout: Layout, cell: CellFolder, superlink_port: int, port: int) -> ChildSpec:
    """What speaks to the SuperLink for the cell."""
    arguments = (
        "flower-supernode",
        *("--superlink", f"{LOOPBACK}:{superlink_port}", "--root-certificates", str(layout.authority)),
        *("--auth-supernode-private-key", str(cell.private_key)),
        *("--host", LOOPBACK, "--port", str(port)),
        *("--ssl-certfile", str(cell.certificate), "--ssl-keyfile", str(cell.certificate_key)),
        *("--ssl-ca-certfile", str(layout.authority)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(cell.secret)),
        *("--node-config", f'trainer="{cell.socket}"'),
    )
    own = {"FLWR_HOME": str(cell.flower)}
    return ChildSpec(f"{cell.name}-supernode", arguments, own, partial(listens, port, layout.authority))


def supernode_superexec(layout: Layout, cell: CellFolder, port: int) -> ChildSpec:
    """What starts a ClientApp for each message."""
    own = {"FLWR_HOME": str(cell.flower)}
    return ChildSpec(f"{cell.name}-superexec", _superexec(layout.authority, port, cell.secret), own)


def _superexec(authority: Path, port: int, secret: Path) -> tuple[str, ...]:
    return (
        "flower-superexec",
        *("--runtime-api-address", f"{LOOPBACK}:{port}", "--root-certificates", str(authority)),
        *("--superexec-auth-secret-file", str(secret)),
    )
