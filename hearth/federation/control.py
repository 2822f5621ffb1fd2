"""Flower's Control API, as far as a federation needs it: register nodes, list them, start a run, say how it goes.

The one module that knows Flower's client classes, which are not public: `flwr` is pinned to 1.41. Its command line says
the same, at two seconds a call.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from flwr.cli.build import build_fab_from_files
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from feature_store.errors import BadInput
from hearth.federation.ports import reach_loopback_directly
from training.federation.errors import FederationError

BUNDLE = b"""\
[project]
name = "hearth-federation"
version = "1.0.0"
description = "Names two apps of the installed Hearth: no code travels in it."
license = "Apache-2.0"

[tool.flwr.app]
publisher = "hearth"

[tool.flwr.app.components]
serverapp = "training.federation.server_app:app"
clientapp = "training.federation.client_app:app"

[tool.flwr.app.config]
request = ""
"""
"""What Flower sends to cells for a run."""


class RunState(NamedTuple):
    """How a run stands.

    status: pending, starting, running or finished.
    outcome: of a finished one: completed, failed or stopped.
    details: what Flower says of it.
    """

    status: str
    outcome: str
    details: str

    @property
    def is_finished(self) -> bool:
        """Whether nothing more comes."""
        return self.status == "finished"


class Node(NamedTuple):
    """A SuperNode as the SuperLink knows it.

    public_key: in PEM.
    is_out: it was let in and is no more; Flower lets a key in once.
    """

    node_id: int
    name: str
    public_key: bytes
    is_out: bool


class Control:
    """One SuperLink's Control API; each method raises `FederationError` where it does not answer, or refuses."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def register(self, public_key: bytes, name: str) -> None:
        """Let the SuperNode of that key in, by that name; one that is known already is left as it is.

        public_key: in OpenSSH's form, of the curve P-384.
        """
        pem = in_pem(public_key)
        known = {node.name for node in self.nodes() if not node.is_out}
        if name not in known:
            self._asked(self._client.RegisterNode, RegisterNodeRequest(public_key=pem, name=name))

    def nodes(self) -> list[Node]:
        """All SuperNodes that were ever let in."""
        nodes = self._asked(self._client.ListNodes, ListNodesRequest()).nodes_info
        return [Node(node.node_id, node.name, node.public_key, node.status == "unregistered") for node in nodes]

    def unregister(self, node_id: int) -> None:
        """Let that SuperNode in no more; its key is of no use from then on."""
        self._asked(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node_id))

    def online(self) -> list[str]:
        """The names of the SuperNodes that are there."""
        nodes = self._asked(self._client.ListNodes, ListNodesRequest()).nodes_info
        return sorted(node.name for node in nodes if node.status == "online")

    def start(self, request: str) -> int:
        """Start a run of our two apps for the request of that name; the run's number."""
        content, _ = build_fab_from_files({"pyproject.toml": BUNDLE})
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        wanted = StartRunRequest(fab=fab_to_proto(fab), override_config=user_config_to_proto({"request": request}))
        answer = self._asked(self._client.StartRun, wanted)
        if not answer.HasField("run_id"):
            raise FederationError(f"the SuperLink started no run: {answer.note or 'it does not say why'}")
        return int(answer.run_id)

    def state(self, run_id: int) -> RunState:
        """How that run stands."""
        runs = self._asked(self._client.ListRuns, ListRunsRequest(run_id=run_id)).run_dict
        if run_id not in runs:
            raise FederationError(f"the SuperLink knows no run {run_id}")
        status = runs[run_id].status
        return RunState(status.status, status.sub_status, status.details)

    def stop(self, run_id: int) -> None:
        """Stop that run."""
        self._asked(self._client.StopRun, StopRunRequest(run_id=run_id))

    @staticmethod
    def _asked(method: Callable[[Any], Any], request: Any) -> Any:
        try:
            return method(request)
        except httpx.HTTPStatusError as error:
            raise FederationError(
                f"the SuperLink answered with status {error.response.status_code}: {error.response.text[:300]}"
            ) from error
        except httpx.HTTPError as error:
            raise FederationError(f"the SuperLink does not answer: {type(error).__name__}: {error}") from error


def in_pem(public_key: bytes) -> bytes:
    """A public key in OpenSSH's form, in PEM; raises `BadInput` for what is none."""
    try:
        return load_ssh_public_key(public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput(f"not a public key in OpenSSH's form: {error}") from error


@contextmanager
def opened_control(address: str, authority: Path) -> Iterator[Control]:
    """The Control API at that address, whose certificate the authority has signed."""
    reach_loopback_directly()
    client = ControlHttpClient.from_server_address(
        server_address=address,
        insecure=False,
        root_certificates=authority.read_bytes(),
        interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
    )
    try:
        yield Control(client)
    finally:
        client.close()
