"""Security rules of others: checkov on manifests and Dockerfiles, hadolint on Dockerfiles.

Checkov is told to download nothing and has no key of anybody: it works without a network.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from k8s.tools.programs import ROOT, said
from k8s.tools.rendering import Rendered

SKIPS = Path(__file__).with_name("checkov-skips.toml")


def skipped() -> dict[str, str]:
    """Rule of checkov → why it does not hold here.

    Raises:
        ValueError: one has no reason.
    """
    with SKIPS.open("rb") as file:
        skips: dict[str, str] = tomllib.load(file)["skipped"]
    bare = [rule for rule, reason in skips.items() if not reason.strip()]
    if bare:
        raise ValueError(f"{SKIPS.name}: {', '.join(bare)}: no reason")
    return skips


def scanned(overlays: list[Rendered]) -> tuple[list[str], set[str]]:
    """What checkov finds in overlays and Dockerfiles, skips left out; and which skips were needed."""
    with TemporaryDirectory() as scratch:
        for number, overlay in enumerate(overlays):
            (Path(scratch) / f"{number}.yaml").write_text(overlay.text)
        for file in (ROOT / "images").glob("*.Dockerfile"):
            (Path(scratch) / file.name).write_bytes(file.read_bytes())
        told = said(
            "checkov",
            *("--directory", scratch, "--framework", "kubernetes", "dockerfile"),
            *("--skip-download", "--quiet", "--compact", "--output", "json"),
            may_find=(1,),
        )
    skips, needed, found = skipped(), set(), set()
    for check in _failed(json.loads(told)):
        if check["check_id"] in skips:
            needed.add(check["check_id"])
        else:
            where = check["file_path"].lstrip("/").removesuffix(".yaml")
            name = overlays[int(where)].name if where.isdigit() else where
            found.add(f"{name}: {check['check_id']} {check['check_name']}: {check['resource']}")
    return sorted(found), needed


def linted() -> Iterator[str]:
    """What hadolint finds in the Dockerfiles."""
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "images").glob("*.Dockerfile"))
    yield from said("hadolint", "--no-color", "--failure-threshold", "style", *files, may_find=(1,)).splitlines()


def _failed(told: list[dict[str, Any]] | dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of one report, or of a list of them, one for each framework."""
    for report in told if isinstance(told, list) else [told]:
        if report["summary"]["parsing_errors"]:
            raise ValueError(f"checkov could not read {report['results'].get('parsing_errors')}")
        yield from report["results"]["failed_checks"]
