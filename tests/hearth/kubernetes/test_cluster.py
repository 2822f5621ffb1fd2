"""The secrets of a trial, made over HTTPS in something that answers as Kubernetes' API does."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from feature_store.errors import BadInput
from hearth.federation.control import in_pem
from hearth.kubernetes.cluster import ClusterError, opened_cluster
from hearth.kubernetes.first_secrets import WHOLE, make_first_secrets
from hearth.kubernetes.secrets import make_pod_keys

PLACE = "/api/v1/namespaces/here/secrets"
CELLS = ("cell-1", "cell-2")


class Api(ThreadingHTTPServer):
    """The secrets of one namespace. most: how many may be made before it refuses."""

    def __init__(self, keys: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.secrets: dict[str, dict[str, Any]] = {}
        self.most = 1000
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys / "node.pem", keys / "node.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)


class _Answer(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        found = self.server.secrets.get(self.path.removeprefix(f"{PLACE}/"))
        self._reply(200, found) if found else self._reply(404, {"message": "not found"})

    def do_POST(self) -> None:
        secret = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = secret["metadata"]["name"]
        if self.path != PLACE or len(self.server.secrets) >= self.server.most:
            self._reply(403, {"message": "exceeded quota"})
        elif name in self.server.secrets:
            self._reply(409, {"message": "already exists"})
        else:
            self.server.secrets[name] = secret
            self._reply(201, secret)

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        if self.headers["authorization"] != "Bearer the-token":
            status, content = 401, {"message": "who are you?"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as http.server names it
        """Say nothing."""


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """As Kubernetes gives it to a pod."""
    make_pod_keys(tmp_path / "keys")
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("the-token")
    (folder / "namespace").write_text("here")
    (folder / "ca.crt").write_bytes((tmp_path / "keys" / "authority.pem").read_bytes())
    return folder


@pytest.fixture
def api(account: Path) -> Iterator[Api]:
    with Api(account.parent / "keys") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def made(api: Api, account: Path) -> tuple[str, ...]:
    with opened_cluster("127.0.0.1", str(api.server_address[1]), account) as cluster:
        return make_first_secrets(cluster, CELLS, ["superlink"])


def content(api: Api, name: str, key: str) -> bytes:
    return base64.b64decode(api.secrets[name]["data"][key])


def test_all_that_the_dev_overlay_names_is_made_and_fits(api: Api, account: Path) -> None:
    names = made(api, account)
    assert api.secrets.keys() == {WHOLE, *names}
    shared = {"federation-authority", "superlink-tls", "superexec-secret", "signing-key", "trusted-publishers"}
    each = {"node-key", "store-keys", "redis-access", "api-keys", "first-api-key"}
    assert shared | {"admitted-nodes", "pinned-nodes"} | {f"{name}-{cell}" for name in each for cell in CELLS} <= set(
        names
    )
    assert api.secrets["admitted-nodes"]["data"].keys() == {"cell-1.pub", "cell-2.pub"}
    assert api.secrets["pinned-nodes"]["data"] == api.secrets["admitted-nodes"]["data"]
    for cell in CELLS:
        public = content(api, f"node-public-key-{cell}", "node-key.pub")
        assert in_pem(public) == in_pem(content(api, "admitted-nodes", f"{cell}.pub"))
    assert api.secrets["superlink-tls"]["type"] == "kubernetes.io/tls"


def test_made_again_it_changes_nothing(api: Api, account: Path) -> None:
    made(api, account)
    before = dict(api.secrets)
    made(api, account)
    assert api.secrets == before


@pytest.mark.parametrize("most", [1, 2, 5, 12])
def test_broken_off_at_any_point_the_rest_is_made_of_the_same_keys(api: Api, account: Path, most: int) -> None:
    api.most = most
    with pytest.raises(ClusterError, match=r"status 403 for the secret .*: exceeded quota"):
        made(api, account)
    whole = dict(api.secrets[WHOLE])
    api.most = 1000
    made(api, account)
    assert api.secrets[WHOLE] == whole
    parts = json.loads(content(api, WHOLE, "secrets.json"))
    assert {name: secret["data"] for name, secret in api.secrets.items() if name != WHOLE} == parts


def test_an_api_with_another_authority_is_told_nothing(api: Api, account: Path, tmp_path: Path) -> None:
    make_pod_keys(tmp_path / "other")
    (account / "ca.crt").write_bytes((tmp_path / "other" / "authority.pem").read_bytes())
    with pytest.raises(ClusterError, match="does not answer: ConnectError"):
        made(api, account)
    assert not api.secrets


def test_an_account_that_may_not_is_told_so(api: Api, account: Path) -> None:
    (account / "token").write_text("another")
    with pytest.raises(ClusterError, match="status 401 for the secret first-secrets: who are you"):
        made(api, account)


def test_outside_of_a_cluster_it_says_that_this_is_for_a_pod(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no account of a pod"), opened_cluster("127.0.0.1", "443", tmp_path):
        pass
