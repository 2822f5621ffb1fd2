"""`python -m k8s.tools`: every check in turn; exits with 1 if one has found something."""

import sys
import time
from collections.abc import Iterable

from k8s.policies.finding import findings
from k8s.policies.rules import RULES, Exempt, exceptions, sifted
from k8s.tools.programs import ToolFailed
from k8s.tools.queries import faults_of_alerts, faults_of_dashboards
from k8s.tools.rendering import Rendered, rendered
from k8s.tools.scanning import linted, scanned, skipped
from k8s.tools.schemas import VERSIONS, faults_of_schemas


def main() -> int:
    """Say what each check found; the exit code."""
    try:
        return 1 if sum(_told(what, found) for what, found in _checks()) else 0
    except (ToolFailed, ValueError) as error:
        _say(f"FAILED: {error}")
        return 1


def _checks() -> Iterable[tuple[str, list[str]]]:
    overlays = list(rendered())
    count = sum(len(overlay.objects) for overlay in overlays)
    yield f"rendered {len(overlays)} overlays, alone and with each component: {count} objects", []
    yield f"strict schemas of Kubernetes {', '.join(VERSIONS)}", list(faults_of_schemas(overlays))
    yield f"{len(RULES)} rules of our own", _policies(overlays)
    found, needed = scanned(overlays)
    unneeded = [f"checkov-skips.toml: {rule} finds nothing any more" for rule in sorted(skipped().keys() - needed)]
    yield "checkov", [*found, *unneeded]
    yield "hadolint", list(linted())
    alerts = [fault for overlay in overlays for fault in faults_of_alerts(overlay.objects)]
    yield "PromQL of alerts and dashboards", sorted({*alerts, *faults_of_dashboards()})


def _policies(overlays: list[Rendered]) -> list[str]:
    exempt, used, told = exceptions(), set[Exempt](), []
    for overlay in overlays:
        left, needed = sifted(findings(overlay.objects, RULES), exempt)
        used |= needed
        told += [f"{overlay.name}: {finding.rule}: {finding.subject}: {finding.what}" for finding in left]
    told += [
        f"exceptions.toml: {each.rule} of {each.subject} is no longer needed" for each in exempt if each not in used
    ]
    return told


def _told(what: str, found: list[str]) -> int:
    _say(f"{'FAILED' if found else 'ok':7}{what} ({time.monotonic() - _STARTED:.0f} s)")
    for line in found:
        _say(f"       {line}")
    return len(found)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


_STARTED = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
