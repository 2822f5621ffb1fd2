"""A bill of materials (CycloneDX 1.6) of an image's Python packages, from its lock file.

    python -m images.sbom serving > hearth-serving.cdx.json

Each package is named with its version, its purl, the SHA-256 of every file that the lock allows, and what needs it. The
same lock and version give the same bytes. What the base image holds is not in it: scan that by its digest.
"""

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^]]*\])?==(?P<version>[^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r" +#(?: via)? +(?!via$)(?P<name>[a-z0-9][a-z0-9.-]*)(?: \(.*\))?")


class Pin(NamedTuple):
    """One package of a lock file."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]  # names of packages, ours among them


def pins(lock: str) -> list[Pin]:
    """The packages of a lock file that `uv pip compile --generate-hashes` wrote, in its order.

    Raises:
        ValueError: there is no package, or one without a hash.
    """
    found: list[Pin] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            found.append(Pin(pin["name"], pin["version"], (), ()))
        elif found and (digest := _HASH.search(line)):
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, digest[1]))
        elif found and (via := _VIA.fullmatch(line)):
            found[-1] = found[-1]._replace(needed_by=(*found[-1].needed_by, via["name"]))
    bare = [pin.name for pin in found if not pin.hashes]
    if bare or not found:
        raise ValueError(f"without a hash: {', '.join(bare)}" if bare else "there is no package in this lock file")
    return found


def bill(image: str, project: str, version: str, found: Sequence[Pin]) -> dict[str, Any]:
    """The bill as CycloneDX has it in JSON.

    image, version: what is described; project: our own name, as the lock file has it.
    """
    names = {pin.name for pin in found}
    needs: dict[str, list[str]] = {image: [], **{_purl(pin): [] for pin in found}}
    for pin in found:
        needing = [_purl(other) for other in found if other.name in pin.needed_by]
        for dependent in [image] if project in pin.needed_by or not names & {*pin.needed_by} else needing:
            needs[dependent].append(_purl(pin))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, repr((image, version, found)))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": image,
                "version": version,
            }
        },
        "components": [_component(pin) for pin in found],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(needs.items())],
    }


def _component(pin: Pin) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _purl(pin),
        "name": pin.name,
        "version": pin.version,
        "purl": _purl(pin),
        # of the files it may be installed from: a component's own `hashes` would be of one file
        "externalReferences": [
            {"type": "distribution", "url": _purl(pin), "hashes": [{"alg": "SHA-256", "content": digest}]}
            for digest in pin.hashes
        ],
    }


def _purl(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def main(arguments: list[str]) -> str | None:
    """Print the bill of the image that is named; what is wrong comes back."""
    if len(arguments) != 1:
        return "usage: python -m images.sbom serving | training | training-gpu | redis"
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    found = pins((ROOT / "images" / f"requirements-{arguments[0]}.lock").read_text())
    json.dump(bill(f"hearth-{arguments[0]}", project["name"], project["version"], found), sys.stdout, indent=1)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
