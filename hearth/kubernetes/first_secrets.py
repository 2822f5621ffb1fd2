"""The secrets of a trial on one node: made in the cluster, once.

All of them are one secret first, which is there whole or not at all; the others are copies of its parts. So a job that
is killed half-way makes the rest when it is started again, and no key twice.
"""

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hearth.kubernetes.cluster import Cluster
from hearth.kubernetes.secrets import make_cell, make_centre, name_nodes

WHOLE = "first-secrets"
_KEY = "secrets.json"


def make_first_secrets(cluster: Cluster, cells: Sequence[str], hosts: Sequence[str]) -> tuple[str, ...]:
    """Make what is not there of the secrets of a centre and of these cells; the names of all.

    cells: each is also the ending of the names of its secrets.
    hosts: by which the SuperLink is dialled.
    """
    if not cluster.holds(WHOLE):
        cluster.make(WHOLE, {_KEY: json.dumps(_made(cells, hosts)).encode()})
    made: dict[str, dict[str, str]] = json.loads(cluster.secret(WHOLE)[_KEY])
    for name, files in made.items():
        cluster.make(name, {key: base64.b64decode(content) for key, content in files.items()})
    return tuple(made)


def _made(cells: Sequence[str], hosts: Sequence[str]) -> dict[str, dict[str, str]]:
    """New secrets: by name and key, in base64."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_centre(folder, hosts)
        nodes = {cell: make_cell(folder, f"-{cell}") for cell in cells}
        for secret in ("admitted-nodes", "pinned-nodes"):
            name_nodes(folder, secret, nodes)
        return {
            secret.name: {file.name: base64.b64encode(file.read_bytes()).decode() for file in sorted(secret.iterdir())}
            for secret in sorted(folder.iterdir())
        }
