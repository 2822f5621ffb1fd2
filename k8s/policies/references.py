"""The rule about what pods are given: it is there, or is known to come from elsewhere."""

import fnmatch
import tomllib
from collections.abc import Iterator
from pathlib import Path

from k8s.policies.finding import Broken, Object, Objects
from k8s.policies.pods import Pods, pods_of

EXTERNAL = Path(__file__).with_name("external.toml")
_KINDS = {
    "secret": ("Secret", "secretName"),
    "configMap": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
_PROJECTED = {"secret": "Secret", "configMap": "ConfigMap"}
_FROM = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap", "secretRef": "Secret", "configMapRef": "ConfigMap"}


def references(objects: Objects) -> Iterator[Broken]:
    """Nothing is named that nobody makes; external.toml lists what others make, and who."""
    external = external_names()
    for pods in pods_of(objects):
        for kind, name in _named(pods):
            if objects.named(kind, pods.namespace, name) is not None:
                continue
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in external.get(kind, {})):
                yield pods.subject, f"names {kind}/{name}, which is not there, nor in {EXTERNAL.name}"


def external_names() -> dict[str, dict[str, str]]:
    """Of each kind the names, in which * stands for anything, and who makes what has them."""
    with EXTERNAL.open("rb") as file:
        return tomllib.load(file)


def _named(pods: Pods) -> Iterator[tuple[str, str]]:
    if "serviceAccountName" in pods.spec:
        yield "ServiceAccount", pods.spec["serviceAccountName"]
    for secret in pods.spec.get("imagePullSecrets", ()):
        yield "Secret", secret["name"]
    for volume in pods.spec.get("volumes", ()):
        yield from _of_volume(volume)
    for container in pods.containers:
        sources = [source for variable in container.get("env", ()) for source in variable.get("valueFrom", {}).items()]
        sources += [source for each in container.get("envFrom", ()) for source in each.items()]
        for way, source in sources:
            if way in _FROM and not source.get("optional"):
                yield _FROM[way], source["name"]


def _of_volume(volume: Object) -> Iterator[tuple[str, str]]:
    for way, (kind, field) in _KINDS.items():
        source = volume.get(way)
        if source and not source.get("optional"):
            yield kind, source[field]
    for part in volume.get("projected", {}).get("sources", ()):
        for way, kind in _PROJECTED.items():
            if way in part and not part[way].get("optional"):
                yield kind, part[way]["name"]
