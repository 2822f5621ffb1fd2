"""`hearth kubernetes`: the keys and secrets that the manifests of k8s/ name."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from hearth import environment
from hearth.commands.options import JsonOption
from hearth.terminal import OUT, print_json

app = typer.Typer(
    help="Keys and secrets of a deployment on Kubernetes.\n\n"
    "Example: `hearth kubernetes cell-secrets --folder shop-secrets --name shop`",
    no_args_is_help=True,
)

FolderOption: TypeAlias = Annotated[
    Path, typer.Option("--folder", metavar="FOLDER", help="Where they go; what is there stays.")
]
NodeOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--node", metavar="NAME=FILE", help="A cell, by its public key; may be given again."),
]
HostOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--host", help="A name in the certificate, beside those in the cluster; may be given again."),
]


@app.command("centre-secrets")
def centre_secrets(
    folder: FolderOption,
    node: NodeOption = None,
    host: HostOption = None,
    namespace: Annotated[str, typer.Option(help="Of the centre.")] = "hearth-centre",
    as_json: JsonOption = False,
) -> None:
    """Make the secrets of a centre: `kubectl apply -k FOLDER` takes them to the cluster.

    Each --node is a cell to let in. The authority's key stays in FOLDER: it signs the SuperLink's next certificate.

    Example: `hearth kubernetes centre-secrets --folder centre-secrets --node shop=shop/node-public-key/node-key.pub`
    """
    from hearth.kubernetes.secrets import make_centre, name_nodes, service_names, write_kustomization

    keys = _keys(node)
    make_centre(folder, (*service_names("superlink", namespace), *(host or ())))
    name_nodes(folder, "admitted-nodes", keys)
    _tell(folder, write_kustomization(folder, namespace), as_json=as_json)


@app.command("cell-secrets")
def cell_secrets(
    folder: FolderOption,
    name: Annotated[str, typer.Option(help="The cell's, by which the centre and the other cells know it.")],
    node: NodeOption = None,
    namespace: Annotated[str, typer.Option(help="Of the cell.")] = "hearth-cell",
    as_json: JsonOption = False,
) -> None:
    """Make the secrets of an edge cell: `kubectl apply -k FOLDER` takes them to the cluster.

    Two come from the centre: put its federation-authority and trusted-publishers beside them. The centre, and each
    other cell, needs FOLDER/node-public-key/node-key.pub; each --node is one of these other cells, from somebody whom
    you trust to say who they are. The first API key is in FOLDER/first-api-key.

    Example: `hearth kubernetes cell-secrets --folder shop-secrets --name shop`
    """
    from hearth.kubernetes.secrets import make_cell, make_redis_tls, name_nodes, service_names, write_kustomization

    others = _keys(node)
    name_nodes(folder, "pinned-nodes", {**others, name: make_cell(folder)})
    make_redis_tls(folder, service_names("redis", namespace))
    _tell(folder, write_kustomization(folder, namespace), as_json=as_json)


@app.command("pod-keys")
def pod_keys(folder: FolderOption) -> None:
    """Make what the programs of one pod need to trust each other; nobody else has any use for it.

    Example: `hearth kubernetes pod-keys --folder /run/hearth/pod`
    """
    from hearth.kubernetes.secrets import make_pod_keys

    make_pod_keys(folder)


@app.command("first-secrets")
def first_secrets(
    cell: Annotated[list[str], typer.Option("--cell", help="A cell's name; may be given again.")],
    host: HostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the secrets of a trial on one node in the cluster that this runs in, once.

    For a pod whose account may get and create secrets; the overlay `dev` has such a job.

    Example: `hearth kubernetes first-secrets --cell cell-1 --cell cell-2`
    """
    from hearth.kubernetes.cluster import opened_cluster
    from hearth.kubernetes.first_secrets import make_first_secrets

    with opened_cluster(*environment.cluster()) as cluster:
        names = make_first_secrets(cluster, cell, ("superlink", *(host or ())))
    if as_json:
        print_json({"secrets": names})
    else:
        OUT.print(f"Secrets: {', '.join(names)}.", soft_wrap=True)


def _keys(nodes: list[str] | None) -> dict[str, bytes]:
    """The public keys of these cells, by name."""
    from feature_store.errors import BadInput
    from hearth.federation.control import in_pem

    keys = {}
    for entry in nodes or ():
        name, _, file = entry.partition("=")
        if not name or not file:
            raise BadInput(f"--node is NAME=FILE; got {entry!r}")
        keys[name] = Path(file).read_bytes()
        in_pem(keys[name])  # what is none is told here, and not by the SuperLink
    return keys


def _tell(folder: Path, names: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "secrets": names})
    else:
        OUT.print(f"In {folder}: {', '.join(names)}.", soft_wrap=True)
        OUT.print(f"To make them in the cluster: kubectl apply -k {folder}", soft_wrap=True)
