"""A real API server takes every object strictly, admits each pod under restricted Pod Security, keeps rights small."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth.kubernetes.cluster import ClusterError, opened_cluster
from hearth.kubernetes.first_secrets import make_first_secrets
from k8s.policies.finding import name_of
from k8s.policies.pods import Pods, pods_of
from tests.k8s.api_server import ApiServer, programs, running_api_server
from tests.k8s.manifests import K8S, OVERLAYS, rendered

CELLS = ("cell-1", "cell-2", "cell-3")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    try:
        assets = programs()
    except LookupError as error:
        pytest.skip(str(error))
    with running_api_server(assets, tmp_path_factory.mktemp("api")) as server:
        yield server


def applied(api: ApiServer, overlay: str) -> set[str]:
    """What kubectl says that it has applied, as kind/name; a warning of the server is a failure."""
    folder = str(K8S / "overlays" / overlay)
    told = api.said("apply", "--server-side", "--validate=strict", "--output=name", "--kustomize", folder)
    assert told.returncode == 0, told.stderr
    assert "Warning" not in told.stderr
    return {_without_group(line) for line in told.stdout.split()}


def in_namespaces_of(api: ApiServer, overlay: str) -> None:
    """The namespaces of an overlay, and the accounts of its pods, which are admitted with them alone."""
    wanted = [thing for thing in rendered(overlay) if thing["kind"] in {"Namespace", "ServiceAccount"}]
    told = api.said("apply", "--server-side", "--filename=-", stdin=_list(wanted))
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_of_an_overlay_is_accepted_strictly_and_once_more_when_it_is_there(
    api: ApiServer, overlay: str
) -> None:
    wanted = {f"{thing['kind'].lower()}/{name_of(thing)}" for thing in rendered(overlay)}
    assert applied(api, overlay) == wanted
    assert applied(api, overlay) == wanted  # nothing of what is there may not be said again


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_of_an_overlay_is_admitted_where_restricted_pod_security_is_enforced(
    api: ApiServer, overlay: str
) -> None:
    """Of what starts pods the server would only warn; so each pod is asked for as its controller does, and not kept."""
    in_namespaces_of(api, overlay)
    for pods in pods_of(rendered(overlay)):
        told = api.said("create", "--dry-run=server", "--filename=-", stdin=json.dumps(_pod(pods)))
        assert told.returncode == 0, f"{pods.subject}: {told.stderr}"
        assert "Warning" not in told.stderr, pods.subject


def test_what_is_not_restricted_or_not_a_field_is_refused(api: ApiServer) -> None:
    in_namespaces_of(api, "dev")
    good = _pod(next(pods for pods in pods_of(rendered("dev")) if pods.owner["kind"] == "Deployment"))
    rooted, unknown = copy.deepcopy(good), copy.deepcopy(good)
    rooted["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    unknown["spec"]["containers"][0]["readinessProb"] = {}
    for broken, why in ((rooted, "violates PodSecurity"), (unknown, "unknown field")):
        told = api.said("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(broken))
        assert told.returncode != 0
        assert why in told.stderr


def test_the_job_of_dev_makes_its_secrets_once_by_the_rights_that_it_has_and_may_do_nothing_else(
    api: ApiServer, tmp_path: Path
) -> None:
    applied(api, "dev")
    token = api.said("create", "token", "first-secrets", "--namespace=hearth-dev")
    assert token.returncode == 0, token.stderr
    for name, content in (("token", token.stdout), ("namespace", "hearth-dev"), ("ca.crt", api.authority.read_text())):
        (tmp_path / name).write_text(content)
    with opened_cluster("127.0.0.1", str(api.port), tmp_path) as cluster:
        made = make_first_secrets(cluster, CELLS, ("superlink",))
        keys = cluster.secret("signing-key")
        assert make_first_secrets(cluster, CELLS, ("superlink",)) == made
        assert cluster.secret("signing-key") == keys
    mounted = {
        volume["secret"]["secretName"]
        for pods in pods_of(rendered("dev"))
        for volume in pods.spec.get("volumes", ())
        if "secret" in volume
    }
    assert mounted <= {*made}
    (tmp_path / "namespace").write_text("kube-system")
    with opened_cluster("127.0.0.1", str(api.port), tmp_path) as elsewhere, pytest.raises(ClusterError, match="403"):
        elsewhere.holds("signing-key")
    account = "--as=system:serviceaccount:hearth-dev:first-secrets"
    for verb, thing in (("list", "secrets"), ("delete", "secrets"), ("update", "secrets"), ("create", "pods")):
        asked = api.said("auth", "can-i", verb, thing, account, "--namespace=hearth-dev")
        assert asked.returncode == 1, (verb, thing)
        assert asked.stdout.startswith("no"), (verb, thing, asked.stderr)


def _pod(pods: Pods) -> dict[str, Any]:
    """A pod as its controller would ask for it; a StatefulSet's has its claims as volumes."""
    spec = copy.deepcopy(pods.spec)
    claims = [each["metadata"]["name"] for each in pods.owner["spec"].get("volumeClaimTemplates", ())]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name_of(pods.owner)}-0", "namespace": pods.namespace, "labels": pods.labels},
        "spec": {**spec, "volumes": [*spec.get("volumes", ()), *volumes]},
    }


def _list(things: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": things})


def _without_group(name: str) -> str:
    """networkpolicy.networking.k8s.io/deny-all, as kubectl has it, without what stands behind the kind."""
    kind, _, rest = name.partition("/")
    return f"{kind.partition('.')[0]}/{rest}"
