"""Rules about what runs more than once: drained one at a time, and not all on one node."""

from collections.abc import Iterator

from k8s.policies.finding import Broken, Object, Objects, name_of, namespace_of
from k8s.policies.pods import Pods, pods_of, selects


def disruption_budget(objects: Objects) -> Iterator[Broken]:
    """What runs more than once is drained one pod at a time."""
    for pods in _many(objects):
        budgets = [
            each
            for each in objects.of_kind("PodDisruptionBudget")
            if namespace_of(each) == pods.namespace and selects(each["spec"]["selector"], pods.labels)
        ]
        if not any(each["spec"].get("maxUnavailable") == 1 for each in budgets):
            yield pods.subject, "runs more than once, and no PodDisruptionBudget lets one go at a time"
        if len(budgets) > 1:
            yield pods.subject, "has more than one PodDisruptionBudget: none of its pods can be evicted"


def spread(objects: Objects) -> Iterator[Broken]:
    """What runs more than once is spread over nodes."""
    for pods in _many(objects):
        keys = {each["topologyKey"] for each in pods.spec.get("topologySpreadConstraints", ())}
        if "kubernetes.io/hostname" not in keys:
            yield pods.subject, "runs more than once, and its pods may all be on one node"


def replicas_left_alone(objects: Objects) -> Iterator[Broken]:
    """What is scaled by load does not say a number: applying the manifest again would undo the scaling."""
    for pods in pods_of(objects):
        if _scalers(objects, pods) and "replicas" in pods.owner["spec"]:
            yield pods.subject, "says replicas beside an autoscaler"


def _many(objects: Objects) -> Iterator[Pods]:
    for pods in pods_of(objects):
        if pods.owner["kind"] == "Deployment" and _replicas(objects, pods) > 1:
            yield pods


def _replicas(objects: Objects, pods: Pods) -> int:
    """How many there may be."""
    scaled: list[int] = [
        scaler["spec"].get("maxReplicas", scaler["spec"].get("maxReplicaCount", 1))
        for scaler in _scalers(objects, pods)
    ]
    return max([int(pods.owner["spec"].get("replicas", 1)), *scaled])


def _scalers(objects: Objects, pods: Pods) -> list[Object]:
    return [
        scaler
        for scaler in objects.of_kind("HorizontalPodAutoscaler", "ScaledObject")
        if namespace_of(scaler) == pods.namespace
        and scaler["spec"]["scaleTargetRef"]["name"] == name_of(pods.owner)
        and scaler["spec"]["scaleTargetRef"].get("kind", "Deployment") == pods.owner["kind"]
    ]
