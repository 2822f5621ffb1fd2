"""The pods that objects start: from Deployments, StatefulSets, DaemonSets, Jobs and CronJobs alike."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from k8s.policies.finding import Object, Objects, namespace_of, subject

LASTING = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_TEMPLATE = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


class Pods(NamedTuple):
    """The pods of one object."""

    owner: Object
    labels: dict[str, str]
    spec: Object

    @property
    def subject(self) -> str:
        """The object that starts them."""
        return subject(self.owner)

    @property
    def namespace(self) -> str:
        """Where they are."""
        return namespace_of(self.owner)

    @property
    def containers(self) -> list[Object]:
        """Those of the start first, then those that stay."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def staying(self) -> list[Object]:
        """Containers that run as long as the pod: none of a job's; init containers where they are side cars."""
        if self.owner["kind"] not in LASTING:
            return []
        beside = [each for each in self.spec.get("initContainers", ()) if each.get("restartPolicy") == "Always"]
        return [*beside, *self.spec["containers"]]


def pods_of(objects: Objects) -> Iterator[Pods]:
    """Of every object that starts some."""
    for owner in objects:
        if owner["kind"] in _TEMPLATE:
            template = owner
            for key in _TEMPLATE[owner["kind"]]:
                template = template[key]
            yield Pods(owner, template.get("metadata", {}).get("labels", {}), template["spec"])
        elif owner["kind"] == "Pod":
            yield Pods(owner, owner["metadata"].get("labels", {}), owner["spec"])


def each_container(objects: Objects) -> Iterator[tuple[str, Pods, Object]]:
    """Each with its subject, kind/name/container, and its pods."""
    return chain.from_iterable(
        ((f"{pods.subject}/{container['name']}", pods, container) for container in pods.containers)
        for pods in pods_of(objects)
    )


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector (of `matchLabels` and `matchExpressions`) chooses what has these labels.

    Raises:
        ValueError: an operator that Kubernetes does not have.
    """
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions", ()))


def _holds(expression: Object, labels: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"a selector has the operator {other}; there are In, NotIn, Exists and DoesNotExist")
