"""Who may talk to whom, worked out from the policies as Kubernetes does: both ends must allow it."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.policies.finding import Objects, namespace_of
from k8s.policies.pods import Pods, pods_of, selects
from tests.k8s.manifests import K8S, OVERLAYS, rendered

_CELLS = ("cell-1", "cell-2", "cell-3")
_CENTRE = {("server-app", "superlink", 9092), ("retrain", "superlink", 9092)}
_DOCS = (K8S.parent / "docs" / "kubernetes.md").read_text()


def edges(objects: Objects) -> set[tuple[str, str, int]]:
    """From whose pods to whose port."""
    found = set()
    for one, other in itertools.product([*pods_of(objects)], repeat=2):
        for name, number in _ports(other):
            if _lets(objects, one, other, "Egress", "to", name, number) and _lets(
                objects, other, one, "Ingress", "from", name, number
            ):
                found.add((one.owner["metadata"]["name"], other.owner["metadata"]["name"], number))
    return found


def test_within_the_dev_overlay_these_are_all_the_ways_and_none_leads_from_cell_to_cell() -> None:
    of_cells = {
        edge
        for cell in _CELLS
        for edge in (
            (f"serving-{cell}", f"redis-{cell}", 6379),
            (f"supernode-{cell}", f"redis-{cell}", 6379),
            (f"supernode-{cell}", "superlink", 9092),
        )
    }
    assert edges(rendered("dev")) == _CENTRE | of_cells


@pytest.mark.parametrize("overlay", ["centre", "gpu"])
def test_within_a_centre_only_its_own_two_programs_reach_the_superlink(overlay: str) -> None:
    assert edges(rendered(overlay)) == _CENTRE


def test_within_a_cell_only_the_server_and_the_trainer_reach_the_people() -> None:
    assert edges(rendered("edge-cell")) == {("serving", "redis", 6379), ("supernode", "redis", 6379)}


@pytest.mark.parametrize("overlay", ["centre", "gpu"])
def test_from_outside_the_path_of_the_fleet_is_all_that_passes_to_the_superlink(overlay: str) -> None:
    paths = {
        (path["path"], path["pathType"], path["backend"]["service"]["name"])
        for ingress in rendered(overlay).of_kind("Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    assert paths == {("/v1/fleet", "Prefix", "superlink")}


def test_from_outside_neither_measures_nor_models_nor_the_description_of_a_server_are_reached() -> None:
    paths = [
        path["path"]
        for ingress in rendered("edge-cell").of_kind("Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert sorted(paths) == ["/v1/events", "/v1/item-bundles", "/v1/placements", "/v1/privacy"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_are_asked_of_the_clusters_dns_alone_and_other_ports_outside_are_named(overlay: str) -> None:
    for policy in rendered(overlay).of_kind("NetworkPolicy"):
        for edge in policy["spec"].get("egress", ()):
            ports = {port["port"] for port in edge.get("ports", ())}
            if any("ipBlock" in peer for peer in edge.get("to", ())):
                assert ports == {443}, policy["metadata"]["name"]
            if 53 in ports:
                values = [peer["namespaceSelector"]["matchExpressions"][0]["values"] for peer in edge["to"]]
                assert values == [["kube-system"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_documentation_lists_every_policy(overlay: str) -> None:
    for policy in rendered(overlay).of_kind("NetworkPolicy"):
        name = re.sub(r"-cell-\d$", "", policy["metadata"]["name"])
        assert f"`{name}`" in _DOCS, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_documentation_lists_every_secret_that_pods_are_given(overlay: str) -> None:
    for pods in pods_of(rendered(overlay)):
        for volume in pods.spec.get("volumes", ()):
            if "secret" in volume:
                name = re.sub(r"-cell-\d$", "", volume["secret"]["secretName"])
                assert f"`{name}`" in _DOCS, name


def _ports(pods: Pods) -> Iterator[tuple[str, int]]:
    for container in pods.containers:
        for port in container.get("ports", ()):
            yield port["name"], port["containerPort"]


def _lets(objects: Objects, at: Pods, peer: Pods, direction: str, end: str, name: str, number: int) -> bool:
    """Whether the policies of one pod allow that direction with the other; no policy at all would allow anything."""
    policies = [
        policy["spec"]
        for policy in objects.of_kind("NetworkPolicy")
        if namespace_of(policy) == at.namespace
        and selects(policy["spec"]["podSelector"], at.labels)
        and direction in policy["spec"]["policyTypes"]
    ]
    return not policies or any(
        ("ports" not in edge or any(port["port"] in (name, number) for port in edge["ports"]))
        and (end not in edge or any(_is_meant(each, peer, at) for each in edge[end]))
        for policy in policies
        for edge in policy.get(direction.lower()) or ()
    )


def _is_meant(chosen: dict[str, Any], peer: Pods, at: Pods) -> bool:
    """Whether a `from` or a `to` means that pod. An address block means what is outside of the cluster."""
    if "ipBlock" in chosen:
        return False
    if "namespaceSelector" in chosen:
        labels = {"kubernetes.io/metadata.name": peer.namespace}
        return selects(chosen["namespaceSelector"], labels) and selects(chosen.get("podSelector", {}), peer.labels)
    return at.namespace == peer.namespace and selects(chosen["podSelector"], peer.labels)
