"""The cluster's API, as much of it as pods of Hearth ask for: secrets of their namespace, for accounts that may.

An account may what the Roles that are bound to it say. https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import base64
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hearth.federation.certificates import ensure_authority, ensure_certificate
from k8s.policies.finding import Objects, namespace_of

_VERBS = {"GET": "get", "POST": "create"}


class Api(ThreadingHTTPServer):
    """One that answers. secrets: by name; those of one namespace are all that there is room for."""

    daemon_threads = True

    def __init__(self, address: str, folder: Path, objects: Objects, namespace: str) -> None:
        super().__init__((address, 443), _Answer)
        self.secrets: dict[str, dict[str, bytes]] = {}
        self.objects, self.namespace = objects, namespace
        self._authority, self._tokens = folder / "authority.pem", dict[str, str]()
        ensure_authority(self._authority, folder / "authority.key")
        ensure_certificate(folder / "api.pem", folder / "api.key", self._authority, folder / "authority.key", [address])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "api.pem", folder / "api.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def account(self, name: str) -> dict[str, bytes]:
        """The files by which pods of a service account are known."""
        token = secrets.token_hex(16)
        self._tokens[token] = name
        files = {"token": token, "namespace": self.namespace}
        return {"ca.crt": self._authority.read_bytes()} | {key: text.encode() for key, text in files.items()}

    def may(self, authorization: str, verb: str) -> bool:
        """Whether whoever shows this may do so with secrets."""
        account = self._tokens.get(authorization.removeprefix("Bearer "))
        roles = {
            binding["roleRef"]["name"]
            for binding in self.objects.of_kind("RoleBinding")
            for subject in binding["subjects"]
            if (subject["kind"], subject["name"]) == ("ServiceAccount", account)
        }
        return any(
            verb in rule["verbs"] and "secrets" in rule["resources"]
            for role in self.objects.of_kind("Role")
            if role["metadata"]["name"] in roles and namespace_of(role) == self.namespace
            for rule in role["rules"]
        )


@contextmanager
def answering(api: Api) -> Iterator[Api]:
    """It answers for the length of the block."""
    thread = threading.Thread(target=api.serve_forever)
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        name = self.path.removeprefix(f"{self._place}/")
        if self._may():
            found = self.server.secrets.get(name)
            if found is None:
                self._reply(404, {"message": f"secrets {name!r} not found"})
            else:
                data = {key: base64.b64encode(content).decode() for key, content in found.items()}
                self._reply(200, {"kind": "Secret", "metadata": {"name": name}, "data": data})

    def do_POST(self) -> None:
        secret = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = secret["metadata"]["name"]
        if self._may() and name in self.server.secrets:
            self._reply(409, {"message": f"secrets {name!r} already exists"})
        elif self._may():
            self.server.secrets[name] = {key: base64.b64decode(text) for key, text in secret["data"].items()}
            self._reply(201, secret)

    @property
    def _place(self) -> str:
        return f"/api/v1/namespaces/{self.server.namespace}/secrets"

    def _may(self) -> bool:
        allowed = self.path.startswith(self._place) and self.server.may(
            self.headers["authorization"] or "", _VERBS[self.command]
        )
        if not allowed:
            self._reply(403, {"message": f"may not {_VERBS[self.command]} {self.path}"})
        return allowed

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as http.server names it
        """Say nothing."""
