"""Admission: the SuperLink lets in the cells whose public keys lie in a folder, and no others.

The folder is the whole truth: a key that comes is let in, one that goes is out, and a SuperLink that has lost its state
is told all of them again. An empty folder changes nothing: that is a volume which is not there, and not a wish.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import NamedTuple

from feature_store.errors import BadInput
from hearth.federation.control import Control, in_pem, opened_control
from training.federation.errors import FederationError

_LOG = logging.getLogger("hearth.federation")


class Changes(NamedTuple):
    """What an admission has changed.

    let_in, put_out: names of cells.
    spent: names whose keys were let in before and put out: the cell needs a new key.
    """

    let_in: tuple[str, ...] = ()
    put_out: tuple[str, ...] = ()
    spent: tuple[str, ...] = ()


def keys_in(folder: Path) -> dict[str, bytes]:
    """The public keys NAME.pub of that folder, in OpenSSH's form; raises `BadInput` where there is no folder."""
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder} of public keys")
    return {file.stem: file.read_bytes() for file in sorted(folder.glob("*.pub"))}


def admit(control: Control, keys: Mapping[str, bytes]) -> Changes:
    """Let the SuperLink know these cells and no others; see `Changes`."""
    if not keys:
        return Changes()
    wanted = {name: in_pem(key) for name, key in keys.items()}
    known, out, put_out = set[bytes](), set[bytes](), list[str]()
    for node in control.nodes():
        if node.is_out:
            out.add(node.public_key)
        elif node.public_key in wanted.values():  # by whatever name: a node is its key
            known.add(node.public_key)
        else:
            control.unregister(node.node_id)
            put_out.append(node.name)
    new = [name for name, key in wanted.items() if key not in known]
    spent = tuple(name for name in new if wanted[name] in out)
    let_in = tuple(name for name in new if name not in spent)
    for name in let_in:
        control.register(keys[name], name)
    return Changes(let_in, tuple(put_out), spent)


def keep_admitted(
    address: str, authority: Path, folder: Path, stop: Event, alive: Path | None = None, seconds: float = 10.0
) -> None:
    """Admit the keys of that folder again and again, until `stop` is set.

    address, authority: of the SuperLink, which may be away for a while.
    alive: a file to touch whenever it was told.
    seconds: between two looks.
    """
    told = ""
    with opened_control(address, authority) as control:
        while not stop.is_set():
            began = time.monotonic()
            try:
                changes = admit(control, keys_in(folder))
            except (FederationError, BadInput) as error:
                told = _once(told, f"{type(error).__name__}: {error}")
            else:
                if alive is not None:
                    alive.touch()
                for what, names in changes._asdict().items():
                    if names and what != "spent":
                        _LOG.warning("%s: %s", what.replace("_", " "), ", ".join(names))
                told = _once(told, f"needs a new key: {', '.join(changes.spent)}") if changes.spent else ""
            stop.wait(max(0.0, seconds - (time.monotonic() - began)))


def _once(told: str, message: str) -> str:
    if message != told:
        _LOG.warning("%s", message)
    return message
