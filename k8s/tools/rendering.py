"""Overlays and components, rendered as `kubectl apply -k` would send them."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped] # has no types

from k8s.policies.finding import Objects
from k8s.tools.programs import ROOT, ToolFailed, said

K8S = ROOT / "k8s"
# Components that no overlay has, as they need what not every cluster has: the overlays that they are made for.
OPTIONS = {
    "components/cert-manager-cell": ("edge-cell",),
    "components/cert-manager-centre": ("centre",),
    "components/external-secrets-cell": ("edge-cell",),
    "components/external-secrets-centre": ("centre",),
    "components/keda": ("edge-cell",),
    "components/redis-tls": ("edge-cell",),
    "components/registry-s3": ("centre", "edge-cell"),
    "components/traces": ("edge-cell",),
    "monitoring": ("dev", "centre", "edge-cell"),
}


class Rendered(NamedTuple):
    """One overlay, or one with a component: its name, its text and its objects."""

    name: str
    text: str
    objects: Objects


def rendered() -> Iterator[Rendered]:
    """Every overlay, and every component with each overlay that it is made for.

    Raises:
        ToolFailed: kubectl cannot render one, or a component is listed nowhere.
    """
    overlays = sorted(file.parent for file in (K8S / "overlays").glob("*/kustomization.yaml"))
    for overlay in overlays:
        yield _rendered(overlay.name, str(overlay))
    for component, overlay in _pairs():
        with TemporaryDirectory() as scratch:
            folder = Path(scratch).resolve()  # the paths are relative to it, and /tmp may be a link
            both = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "namespace": yaml.safe_load((overlay / "kustomization.yaml").read_text())["namespace"],
                "resources": [os.path.relpath(overlay, folder)],
                "components": [os.path.relpath(K8S / component, folder)],
            }
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(both))
            yield _rendered(f"{overlay.name} with {component}", str(folder))


def objects_of(text: str) -> Objects:
    """The objects of a stream of YAML documents."""
    documents: list[dict[str, Any]] = [each for each in yaml.safe_load_all(text) if each]
    return Objects(documents)


def _pairs() -> Iterator[tuple[str, Path]]:
    """Each component with the overlays that it is made for and that do not have it by themselves."""
    overlays = {file.parent: file.read_text() for file in sorted((K8S / "overlays").glob("*/kustomization.yaml"))}
    for file in sorted([*K8S.glob("components/*/kustomization.yaml"), K8S / "monitoring" / "kustomization.yaml"]):
        component = file.parent.relative_to(K8S).as_posix()
        if component not in OPTIONS and not any(f"../{component}\n" in text for text in overlays.values()):
            raise ToolFailed(f"no overlay has k8s/{component}, and {Path(__file__).name} does not say which it is for")
        for overlay, text in overlays.items():
            if overlay.name in OPTIONS.get(component, ()) and f"../{component}\n" not in text:
                yield component, overlay


def _rendered(name: str, folder: str) -> Rendered:
    text = said("kubectl", "kustomize", folder)
    return Rendered(name, text, objects_of(text))
