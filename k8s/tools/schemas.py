"""Objects against the schemas of three Kubernetes versions: unknown fields, missing ones, wrong types."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml  # type: ignore[import-untyped] # has no types

from k8s.policies.finding import subject
from k8s.tools.custom import CUSTOM, faults
from k8s.tools.programs import said
from k8s.tools.rendering import Rendered

VERSIONS = ("1.35", "1.36", "1.37")


def faults_of_schemas(overlays: Iterable[Rendered]) -> Iterator[str]:
    """What a strict validation says, a warning included; of kinds that an operator brings, what we know of them.

    An object that several overlays have alike is validated once: that is most of the time of all checks.
    """
    ours: set[str] = set()
    for overlay in overlays:
        for thing in overlay.objects:
            if (thing["apiVersion"], thing["kind"]) in CUSTOM:
                yield from (f"{overlay.name}: {subject(thing)}: {fault}" for fault in faults(thing))
            else:
                ours.add(yaml.safe_dump(thing))
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "objects.yaml"
        file.write_text("---\n".join(sorted(ours)))
        versions = [argument for version in VERSIONS for argument in ("--kubernetes-version", version)]
        # what it does not know is told as what is wrong is, though it then exits with 0
        told = said("kubernetes-validate", "--strict", "--quiet", *versions, str(file), may_find=(1, 2, 3))
    yield from (line.replace(f"{file} ", "") for line in told.splitlines() if line.strip())
