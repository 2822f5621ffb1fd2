"""Rules about one container: what it may use, may do, and how it is known to live."""

import re
from collections.abc import Iterator

from k8s.policies.finding import Broken, Object, Objects
from k8s.policies.pods import each_container, pods_of
from k8s.policies.quantities import quantity

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_ACTIONS = ("httpGet", "tcpSocket", "grpc", "exec")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TELLING = re.compile(r"(PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL)(?!\w*_FILE$)")  # where one lies is none


def requests_and_limits(objects: Objects) -> Iterator[Broken]:
    """Of processor, memory and disk each container says what it needs and what it may take at most."""
    for where, _, container in each_container(objects):
        resources = container.get("resources", {})
        for side in ("requests", "limits"):
            for resource in ("cpu", "memory", "ephemeral-storage"):
                if resource not in resources.get(side, {}):
                    yield where, f"{side} no {resource}"
        for resource, needed in resources.get("requests", {}).items():
            most = resources.get("limits", {}).get(resource)
            if most is not None and quantity(needed) > quantity(most):
                yield where, f"requests {needed} of {resource}, and its limit is {most}"


def probes(objects: Objects) -> Iterator[Broken]:
    """What runs for long has all three probes, and is told not ready before it is killed."""
    for pods in pods_of(objects):
        for container in pods.staying:
            where = f"{pods.subject}/{container['name']}"
            missing = [probe for probe in _PROBES if probe not in container]
            for probe in missing:
                yield where, f"has no {probe}"
            if missing:
                continue
            if container["readinessProbe"] == container["livenessProbe"]:
                yield where, "readinessProbe and livenessProbe are the same: what is busy would be killed"
            elif _patience(container["livenessProbe"]) <= _patience(container["readinessProbe"]):
                yield where, "livenessProbe gives up before readinessProbe does"
            if container["livenessProbe"].get("httpGet", {}).get("path") == "/readyz":
                yield where, "livenessProbe asks /readyz: it would be killed for what others have done"


def probe_ports(objects: Objects) -> Iterator[Broken]:
    """A probe asks a port that its container declares, once, by name or number."""
    for where, _, container in each_container(objects):
        ports = container.get("ports", ())
        known = {each.get("name") for each in ports} | {each["containerPort"] for each in ports}
        for probe in _PROBES:
            actions = [container[probe][action] for action in _ACTIONS if action in container.get(probe, {})]
            if probe in container and len(actions) != 1:
                yield where, f"{probe} has {len(actions)} actions"
            for action in actions:
                if "port" in action and action["port"] not in known:
                    yield where, f"{probe} asks port {action['port']}, which the container does not declare"


def pinned_image(objects: Objects) -> Iterator[Broken]:
    """An image is named with a version, or by digest; `latest` is no version."""
    for where, _, container in each_container(objects):
        image = container["image"]
        if "@" in image:
            if not _DIGEST.search(image):
                yield where, f"image {image} names no digest of SHA-256"
            continue
        _, _, tag = image.rpartition("/")[2].partition(":")
        if tag in {"", "latest"}:
            yield where, f"image {image} names {'the tag latest' if tag else 'no tag'}"


def restricted(objects: Objects) -> Iterator[Broken]:
    """What the restricted Pod Security standard asks to be said; `pod_security` has what it asks not to be said."""
    for where, pods, container in each_container(objects):
        whole, own = pods.spec.get("securityContext", {}), container.get("securityContext", {})
        both = {**whole, **own}
        if both.get("runAsNonRoot") is not True:
            yield where, "runAsNonRoot is not true"
        if both.get("runAsUser", 0) < 10_000 or both.get("runAsGroup", 0) < 10_000:
            yield where, "runAsUser and runAsGroup are not numbers from 10000 on"
        if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield where, "seccompProfile is not RuntimeDefault"
        if own.get("allowPrivilegeEscalation") is not False:
            yield where, "allowPrivilegeEscalation is not false"
        if own.get("privileged"):
            yield where, "privileged"
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield where, "capabilities are not all dropped"


def read_only_root(objects: Objects) -> Iterator[Broken]:
    """Nothing is written into a container's own file system."""
    for where, _, container in each_container(objects):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield where, "readOnlyRootFilesystem is not true"


def writable_home(objects: Objects) -> Iterator[Broken]:
    """Where a root is read alone, HOME, in which programs leave things, lies on a volume that may be written to."""
    for where, _, container in each_container(objects):
        homes = [each["value"] for each in container.get("env", ()) if each["name"] == "HOME" and "value" in each]
        mounts = [each["mountPath"] for each in container.get("volumeMounts", ()) if not each.get("readOnly")]
        for home in homes:
            if not any(f"{home}/".startswith(f"{mount}/") for mount in mounts):
                yield where, f"HOME is {home}, where no volume lies that may be written to"


def no_plain_secrets(objects: Objects) -> Iterator[Broken]:
    """A secret comes from a Secret, never as a value in the environment."""
    for where, _, container in each_container(objects):
        for variable in container.get("env", ()):
            if "value" in variable and _TELLING.search(variable["name"]):
                yield where, f"{variable['name']} has its value in the manifest"


def _patience(probe: Object) -> int:
    """Seconds until it has failed for good, by Kubernetes' defaults where it says nothing."""
    return int(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3))
