"""A real API server of Kubernetes with its etcd, as processes of this machine: no controller, no scheduler, no node.

The variable KUBEBUILDER_ASSETS names the folder with both programs, as for the tests of operators
(https://book.kubebuilder.io/reference/envtest).
"""

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hearth.federation.certificates import ensure_authority, ensure_certificate
from tests.redis_server import free_port

ASSETS = "KUBEBUILDER_ASSETS"
PATIENCE = 120.0  # seconds; it starts in about ten on an idle machine
_KUBECTL = Path(sys.executable).with_name("kubectl")


class ApiServer(NamedTuple):
    """One that answers.

    folder: what it was started with, and the settings of kubectl.
    authority: PEM file of who signed its certificate.
    """

    folder: Path
    port: int
    authority: Path

    def said(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """What kubectl does and says, as somebody who may do everything."""
        environment = {"HOME": str(self.folder), "KUBECONFIG": str(self.folder / "kubeconfig"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [str(_KUBECTL), *arguments],
            env=environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def programs() -> Path:
    """The folder with etcd and kube-apiserver; raises `LookupError` where the variable is not set."""
    if ASSETS not in os.environ:
        raise LookupError(f"{ASSETS} is not set: it names a folder with etcd and kube-apiserver")
    return Path(os.environ[ASSETS])


@contextlib.contextmanager
def running_api_server(assets: Path, folder: Path) -> Iterator[ApiServer]:
    """An API server for the length of the block, with nothing in it."""
    token, port, store = secrets.token_hex(16), free_port(), f"http://127.0.0.1:{free_port()}"
    authority = _keys(folder, token)
    server = ApiServer(folder, port, authority)
    (folder / "kubeconfig").write_text(json.dumps(_kubeconfig(server, token)))
    etcd = [
        *(str(assets / "etcd"), "--data-dir", str(folder / "etcd")),
        *("--listen-client-urls", store, "--advertise-client-urls", store),
        *("--listen-peer-urls", f"http://127.0.0.1:{free_port()}"),
    ]
    api = [
        *(str(assets / "kube-apiserver"), f"--etcd-servers={store}"),
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}"),
        "--service-cluster-ip-range=10.0.0.0/24",
        *(f"--tls-cert-file={folder / 'api.pem'}", f"--tls-private-key-file={folder / 'api.key'}"),
        *(f"--cert-dir={folder}", "--authorization-mode=RBAC", f"--token-auth-file={folder / 'tokens.csv'}"),
        *("--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={folder / 'sa.pub'}"),
        f"--service-account-signing-key-file={folder / 'sa.key'}",
    ]
    trusting = ssl.create_default_context(cafile=authority)
    headers = {"authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(httpx.Client(verify=trusting, headers=headers, trust_env=False, timeout=5.0))
        _start(stack, client, etcd, folder / "etcd.log", f"{store}/health")
        _start(stack, client, api, folder / "api.log", f"https://127.0.0.1:{port}/readyz")
        yield server


def _start(stack: contextlib.ExitStack, client: httpx.Client, command: Sequence[str], log: Path, url: str) -> None:
    """Run it until the stack ends, and return when it answers at that address."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    stack.callback(_stop, process)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if client.get(url).is_success:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE / 4)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _keys(folder: Path, token: str) -> Path:
    """What it shows, what it signs accounts' tokens with, and who may do everything; the file of its authority."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    ensure_authority(authority, authority_key)
    ensure_certificate(folder / "api.pem", folder / "api.key", authority, authority_key)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "sa.pub").write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "tokens.csv").write_text(f'{token},tester,1,"system:masters"\n')
    return authority


def _kubeconfig(server: ApiServer, token: str) -> dict[str, Any]:
    cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority": str(server.authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "tester", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "tester"}}],
        "current-context": "here",
    }
