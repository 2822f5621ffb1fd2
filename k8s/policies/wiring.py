"""Rules about what objects call each other by: selectors, ports, accounts, volumes."""

from collections.abc import Iterator
from typing import Any

from k8s.policies.finding import Broken, Object, Objects, namespace_of, subject
from k8s.policies.pods import LASTING, Pods, each_container, pods_of, selects


def selectors(objects: Objects) -> Iterator[Broken]:
    """Each selector chooses pods that there are, and a workload's its own."""
    for pods in pods_of(objects):
        if pods.owner["kind"] in LASTING and not selects(pods.owner["spec"]["selector"], pods.labels):
            yield pods.subject, "its selector does not choose its own pods"
        for spread in pods.spec.get("topologySpreadConstraints", ()):
            if not selects(spread["labelSelector"], pods.labels):
                yield pods.subject, f"its spread over {spread['topologyKey']} does not count its own pods"
        for term in _required_neighbours(pods):
            if not any(selects(term["labelSelector"], other.labels) for other in pods_of(objects)):
                yield pods.subject, "has to be beside pods that there are not (affinity)"
    for thing in objects.of_kind("Service", "PodDisruptionBudget", "NetworkPolicy"):
        if (selector := _selector(thing)) is not None and not _chosen(objects, thing, selector):
            yield subject(thing), "its selector chooses no pod"


def service_ports(objects: Objects) -> Iterator[Broken]:
    """A Service leads to a port that each of its pods declares."""
    for service in objects.of_kind("Service"):
        selector = {"matchLabels": service["spec"].get("selector", {})}
        for pods in _chosen(objects, service, selector):
            declared = [port for container in pods.containers for port in container.get("ports", ())]
            known = {port.get("name") for port in declared} | {port["containerPort"] for port in declared}
            for port in service["spec"].get("ports", ()):
                target = port.get("targetPort", port["port"])
                if target not in known:
                    yield subject(service), f"leads to port {target}, which {pods.subject} does not declare"


def named_objects(objects: Objects) -> Iterator[Broken]:
    """What is scaled, and the Service that a StatefulSet wants, is there."""
    for scaler in objects.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        kind = target.get("kind", "Deployment")
        if objects.named(kind, namespace_of(scaler), target["name"]) is None:
            yield subject(scaler), f"scales {kind}/{target['name']}, which is not there"
    for thing in objects.of_kind("StatefulSet"):
        name = thing["spec"].get("serviceName")
        if name is None or objects.named("Service", namespace_of(thing), name) is None:
            yield subject(thing), f"its Service {name} is not there"


def mounted_volumes(objects: Objects) -> Iterator[Broken]:
    """Each mount is of a volume of its pod, no two at one path; and each volume is mounted."""
    used: dict[str, set[str]] = {}
    for where, pods, container in each_container(objects):
        known = _volumes(pods)
        mounts = container.get("volumeMounts", ())
        for mount in mounts:
            if mount["name"] not in known:
                yield where, f"mounts {mount['name']}, which is no volume of the pod"
        paths = [mount["mountPath"] for mount in mounts]
        if len({*paths}) != len(paths):
            yield where, "mounts two volumes at one path"
        used.setdefault(pods.subject, set()).update(mount["name"] for mount in mounts)
    for pods in pods_of(objects):
        for name in sorted(_volumes(pods) - used[pods.subject]):
            yield pods.subject, f"nobody mounts its volume {name}"


def bound_roles(objects: Objects) -> Iterator[Broken]:
    """A RoleBinding gives a Role that is there, to an account that is there, and says where; no Role lets all."""
    for role in objects.of_kind("Role", "ClusterRole"):
        if any("*" in rule.get(of, ()) for rule in role.get("rules", ()) for of in ("verbs", "resources", "apiGroups")):
            yield subject(role), "lets *"
    for binding in objects.of_kind("RoleBinding"):
        namespace, role = namespace_of(binding), binding["roleRef"]
        if role["kind"] == "Role" and objects.named("Role", namespace, role["name"]) is None:
            yield subject(binding), f"binds Role/{role['name']}, which is not there"
        for account in binding.get("subjects", ()):
            if account["kind"] == "ServiceAccount":
                if "namespace" not in account:
                    yield subject(binding), f"does not say where ServiceAccount/{account['name']} is"
                elif objects.named("ServiceAccount", account["namespace"], account["name"]) is None:
                    yield subject(binding), f"is for ServiceAccount/{account['name']}, which is not there"


def _required_neighbours(pods: Pods) -> list[Object]:
    affinity = pods.spec.get("affinity", {}).get("podAffinity", {})
    return list(affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ()))


def _volumes(pods: Pods) -> set[str]:
    claims = pods.owner["spec"].get("volumeClaimTemplates", ())
    return {each["name"] for each in pods.spec.get("volumes", ())} | {each["metadata"]["name"] for each in claims}


def _selector(thing: Object) -> dict[str, Any] | None:
    """Its label selector; None for a Service without one, which somebody else fills."""
    spec = thing["spec"]
    match thing["kind"]:
        case "Service":
            return {"matchLabels": spec["selector"]} if spec.get("selector") else None
        case "NetworkPolicy":
            return dict(spec["podSelector"])
        case _:
            return dict(spec["selector"])


def _chosen(objects: Objects, by: Object, selector: dict[str, Any]) -> list[Pods]:
    return [pods for pods in pods_of(objects) if pods.namespace == namespace_of(by) and selects(selector, pods.labels)]
