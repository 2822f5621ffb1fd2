"""The overlays as `kubectl apply -k` would send them, and what stands in their containers."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped, unused-ignore] # has no types

from k8s.policies.finding import Objects
from k8s.policies.pods import Pods, pods_of

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("dev", "centre", "edge-cell", "gpu")
_KUBECTL = Path(sys.executable).with_name("kubectl")


@cache
def rendered(overlay: str) -> Objects:
    """All objects of an overlay."""
    command = [str(_KUBECTL), "kustomize", str(K8S / "overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Objects([each for each in yaml.safe_load_all(text) if each])


class Container(NamedTuple):
    """One container, and the pod that it is in."""

    overlay: str
    pods: Pods
    spec: dict[str, Any]

    @property
    def where(self) -> str:
        return f"{self.overlay}: {self.pods.subject}/{self.spec['name']}"

    @property
    def words(self) -> list[str]:
        """The whole command."""
        return [*self.spec.get("command", ()), *self.spec.get("args", ())]

    @property
    def program(self) -> list[str]:
        """The whole command; of a shell's script, the command that it ends as."""
        words = self.words
        if words[:2] == ["sh", "-c"]:
            return shlex.split(words[2].replace("\\\n", " ").rpartition(" exec ")[2])
        return words

    def after(self, option: str) -> str:
        """What stands behind an option of the command."""
        return str(self.words[self.words.index(option) + 1])

    def variable(self, name: str) -> str:
        """The value of a variable of the environment."""
        return str(next(each["value"] for each in self.spec["env"] if each["name"] == name))

    def port(self, name: str) -> int:
        """The number of a port."""
        return int(next(each["containerPort"] for each in self.spec["ports"] if each["name"] == name))

    def volume(self, name: str) -> dict[str, Any]:
        """A volume of the pod; a claim of its StatefulSet has the name alone."""
        return next((each for each in self.pods.spec.get("volumes", ()) if each["name"] == name), {"name": name})

    def files(self, volume: str) -> set[str]:
        """What is in the volume of a ConfigMap."""
        name = self.volume(volume)["configMap"]["name"]
        found = rendered(self.overlay).named("ConfigMap", self.pods.namespace, name)
        return set() if found is None else set(found["data"])

    def settings(self, file: str) -> str:
        """What a mounted ConfigMap has under that path."""
        folder, _, key = file.rpartition("/")
        mount = next(each for each in self.spec["volumeMounts"] if each["mountPath"] == folder)
        name = self.volume(mount["name"])["configMap"]["name"]
        found = rendered(self.overlay).named("ConfigMap", self.pods.namespace, name)
        assert found is not None, (self.where, name)
        return str(found["data"][key])


def containers(*overlays: str) -> Iterator[Container]:
    """Every container of these overlays, or of all."""
    for overlay in overlays or OVERLAYS:
        for pods in pods_of(rendered(overlay)):
            for spec in pods.containers:
                yield Container(overlay, pods, spec)


def named(name: str, *overlays: str) -> list[Container]:
    """The containers of that name; there is one at least."""
    found = [each for each in containers(*overlays) if each.spec["name"] == name]
    assert found, name
    return found


def serving_settings(container: Container) -> dict[str, Any]:
    """The settings of a server."""
    found: dict[str, Any] = json.loads(container.settings(container.words[-1]))
    return found
