"""Secrets in the cluster that this process runs in.

The API's address, its certificate and the pod's token are where Kubernetes puts them
(https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/). Nothing is asked for but to get and to create.
"""

import base64
import binascii
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from feature_store.errors import BadInput, HearthError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LABELS = {"app.kubernetes.io/part-of": "hearth"}


class ClusterError(HearthError):
    """The cluster's API does not answer, or refuses."""


class Cluster:
    """The secrets of one namespace. client: speaks to the API."""

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self._client, self._place = client, f"/api/v1/namespaces/{namespace}/secrets"

    def holds(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        answer = self._asked("GET", f"{self._place}/{name}")
        return answer.status_code != httpx.codes.NOT_FOUND and bool(_accepted(answer, name))

    def secret(self, name: str) -> dict[str, bytes]:
        """What the secret of that name holds, by key; raises `ClusterError` where there is none."""
        data = _accepted(self._asked("GET", f"{self._place}/{name}"), name).json().get("data") or {}
        try:
            return {key: base64.b64decode(content, validate=True) for key, content in data.items()}
        except binascii.Error as error:
            raise ClusterError(f"the secret {name} is not in base64") from error

    def make(self, name: str, files: Mapping[str, bytes]) -> None:
        """Make a secret; one that is there already is left as it is."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": _LABELS},
            "type": "kubernetes.io/tls" if "tls.crt" in files else "Opaque",
            "data": {key: base64.b64encode(content).decode() for key, content in files.items()},
        }
        answer = self._asked("POST", self._place, json=secret)
        if answer.status_code != httpx.codes.CONFLICT:
            _accepted(answer, name)

    def _asked(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise ClusterError(f"the cluster's API does not answer: {type(error).__name__}: {error}") from error


@contextmanager
def opened_cluster(host: str, port: str, account: Path = ACCOUNT) -> Iterator[Cluster]:
    """The cluster that this process runs in; raises `BadInput` where it runs in none.

    host, port: of its API, from the environment.
    account: folder with the token, the namespace and the authority of the API's certificate.
    """
    try:
        token, namespace = ((account / name).read_text().strip() for name in ("token", "namespace"))
        context = ssl.create_default_context(cafile=account / "ca.crt")
    except OSError as error:
        raise BadInput(
            f"{account} holds no account of a pod: {error.strerror}; this is for a pod of a cluster"
        ) from error
    place = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    with httpx.Client(
        base_url=place,
        headers={"authorization": f"Bearer {token}"},
        verify=context,
        timeout=30.0,
        trust_env=False,  # the API is a neighbour: no proxy leads to it
    ) as client:
        yield Cluster(client, namespace)


def _accepted(answer: httpx.Response, name: str) -> httpx.Response:
    """The answer; raises `ClusterError` for one that is no success, without what was sent."""
    if answer.is_success:
        return answer
    try:
        why = str(answer.json().get("message", ""))
    except ValueError:
        why = answer.reason_phrase
    raise ClusterError(f"the cluster's API answered with status {answer.status_code} for the secret {name}: {why}")
