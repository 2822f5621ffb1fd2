"""Rules about what else the restricted Pod Security standard asks, which is seldom set: no word of it is the right one.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, of Kubernetes 1.36.
"""

from collections.abc import Iterator

from k8s.policies.finding import Broken, Object, Objects
from k8s.policies.pods import each_container, pods_of

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_ASKING = ("startupProbe", "readinessProbe", "livenessProbe", "postStart", "preStop")


def restricted_volumes(objects: Objects) -> Iterator[Broken]:
    """A volume is of a kind that the standard lets in."""
    for pods in pods_of(objects):
        for volume in pods.spec.get("volumes", ()):
            for kind in sorted(volume.keys() - {"name"} - _VOLUMES):
                yield pods.subject, f"volume {volume['name']} is of the kind {kind}"


def restricted_kernel(objects: Objects) -> Iterator[Broken]:
    """Neither the settings of the kernel nor its guards are changed, and probes ask the pod itself alone."""
    for pods in pods_of(objects):
        if pods.spec.get("securityContext", {}).get("sysctls"):
            yield pods.subject, "sets sysctls"
        yield from ((pods.subject, what) for what in _loosened(pods.spec.get("securityContext", {})))
    for where, _, container in each_container(objects):
        yield from ((where, what) for what in _loosened(container.get("securityContext", {})))
        asking = {**container, **container.get("lifecycle", {})}
        for name in _ASKING:
            for action in ("httpGet", "tcpSocket"):
                if asking.get(name, {}).get(action, {}).get("host"):
                    yield where, f"{name} asks another host"


def _loosened(context: Object) -> Iterator[str]:
    if context.get("procMount", "Default") != "Default":
        yield f"procMount is {context['procMount']}"
    if context.get("seLinuxOptions"):
        yield "sets seLinuxOptions"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield "appArmorProfile is Unconfined"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "is a process of a Windows host"
