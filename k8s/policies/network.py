"""Rules about who may talk to whom."""

from collections.abc import Iterator

from k8s.policies.finding import Broken, Object, Objects, namespace_of, subject
from k8s.policies.pods import Pods, pods_of, selects


def closed_network(objects: Objects) -> Iterator[Broken]:
    """Of each pod, policies say who may reach it and whom it may reach: what they do not name is refused."""
    for pods in pods_of(objects):
        for direction in ("Ingress", "Egress"):
            if not any(direction in _directions(policy) for policy in _of(objects, pods)):
                yield pods.subject, f"no NetworkPolicy says anything of its {direction.lower()}"


def named_edges(objects: Objects) -> Iterator[Broken]:
    """Each allowed edge names its other end and its ports."""
    for policy in objects.of_kind("NetworkPolicy"):
        for direction, end in (("ingress", "from"), ("egress", "to")):
            for edge in policy["spec"].get(direction) or ():
                if not edge.get(end):
                    yield subject(policy), f"{direction} {end} anywhere"
                if not edge.get("ports"):
                    yield subject(policy), f"{direction} at any port"
                if any(
                    peer.get("namespaceSelector") == {} and "podSelector" not in peer for peer in edge.get(end) or ()
                ):
                    yield subject(policy), f"{direction} {end} every pod of every namespace"


def names_for_all(objects: Objects) -> Iterator[Broken]:
    """Each pod may ask for names, without which it finds nobody."""
    for pods in pods_of(objects):
        ports = {
            port.get("port")
            for policy in _of(objects, pods)
            for edge in policy["spec"].get("egress") or ()
            for port in edge.get("ports") or ({"port": 53},)
        }
        if 53 not in ports:
            yield pods.subject, "no NetworkPolicy lets it ask for names (port 53)"


def _directions(policy: Object) -> list[str]:
    spec = policy["spec"]
    return list(spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])])


def _of(objects: Objects, pods: Pods) -> Iterator[Object]:
    for policy in objects.of_kind("NetworkPolicy"):
        if namespace_of(policy) == pods.namespace and selects(policy["spec"]["podSelector"], pods.labels):
            yield policy
