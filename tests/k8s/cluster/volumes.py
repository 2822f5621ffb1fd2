"""Volumes of a pod as folders of this machine, with the files, the modes and the owners that the kubelet gives them."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from k8s.policies.finding import Objects
from tests.k8s.cluster.wrong import NotThere, Wrong

Secrets: TypeAlias = Mapping[str, Mapping[str, bytes]]
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


class Volumes:
    """Of all pods. folder: where they lie; secrets: those that there are by now, by name; has_users: see `Way`."""

    def __init__(self, folder: Path, objects: Objects, secrets: Secrets, *, has_users: bool) -> None:
        self._folder, self._objects, self._secrets, self._has_users = folder, objects, secrets, has_users

    def data_of(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes]:
        """What a Secret or a ConfigMap holds; raises `NotThere`."""
        if kind == "Secret" and name in self._secrets:
            return self._secrets[name]
        found = self._objects.named(kind, namespace, name)
        if found is None:
            raise NotThere(f"{kind}/{name} is not there")
        if kind == "Secret":
            return {key: base64.b64decode(text) for key, text in found.get("data", {}).items()}
        return {key: text.encode() for key, text in found.get("data", {}).items()}

    def made(self, pod: str, namespace: str, spec: dict[str, Any], claims: Mapping[str, str]) -> dict[str, Path]:
        """The folder of each volume of a pod; raises `NotThere` where one is of what is not there yet.

        claims: of its StatefulSet; the name of the claim by the volume's.
        """
        group = spec.get("securityContext", {}).get("fsGroup")
        found = {name: self._lasting(claim, group) for name, claim in claims.items()}
        for volume in spec.get("volumes", ()):
            name, folder = volume["name"], self._folder / "pods" / pod / volume["name"]
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                if self._objects.named("PersistentVolumeClaim", namespace, claim) is None:
                    raise NotThere(f"PersistentVolumeClaim/{claim} is not there")
                found[name] = self._lasting(claim, group)
            elif "emptyDir" in volume:
                folder.mkdir(parents=True, exist_ok=True)
                self._own(folder, 0o777, group)
                found[name] = folder
            elif "secret" in volume or "configMap" in volume:
                found[name] = self._files(folder, namespace, volume, group)
            else:
                raise Wrong(f"volume {name}: of {sorted(volume.keys() - {'name'})} nothing is known here")
        return found

    def account(self, pod: str, files: Mapping[str, bytes]) -> Path:
        """What a pod shows the cluster's API, as a volume."""
        return self._written(self._folder / "pods" / pod / "account", files, 0o644, None)

    def _lasting(self, claim: str, group: int | None) -> Path:
        folder = self._folder / "claims" / claim
        if not folder.exists():
            folder.mkdir(parents=True)
            self._own(folder, 0o755 if group is None else 0o2775, group)
        return folder

    def _files(self, folder: Path, namespace: str, volume: dict[str, Any], group: int | None) -> Path:
        kind, source = ("Secret", volume["secret"]) if "secret" in volume else ("ConfigMap", volume["configMap"])
        name = source.get("secretName") or source["name"]
        try:
            data = self.data_of(kind, namespace, name)
        except NotThere:
            if not source.get("optional"):
                raise
            data = {}
        items = {each["path"]: each["key"] for each in source.get("items", ())} or {key: key for key in data}
        for key in items.values():
            if key not in data:
                raise Wrong(f"volume {volume['name']}: {kind}/{name} has no key {key}; it has {sorted(data)}")
        files = {path: data[key] for path, key in items.items()}
        return self._written(folder, files, source.get("defaultMode", 0o644), group)

    def _written(self, folder: Path, files: Mapping[str, bytes], mode: int, group: int | None) -> Path:
        """As the kubelet writes them: in a folder that `..data` leads to, through which each name leads."""
        if not folder.exists():
            real = folder / "..2026_01_01"
            real.mkdir(parents=True)
            (folder / "..data").symlink_to(real.name)
            for name, content in files.items():
                (real / name).write_bytes(content)
                self._own(real / name, mode, group)
                (folder / name).symlink_to(Path("..data") / name)
            for each in (folder, real):
                self._own(each, 0o755, group)
        return folder

    def _own(self, path: Path, mode: int, group: int | None) -> None:
        if group is not None and self._has_users:
            os.chown(path, 0, group)
        path.chmod(mode)
