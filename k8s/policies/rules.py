"""All rules, and the exceptions from them."""

import fnmatch
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from k8s.policies import accepted, availability, containers, network, pod_security, references, shared, wiring
from k8s.policies.finding import Finding, Rule

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
RULES: tuple[Rule, ...] = (
    containers.requests_and_limits,
    containers.probes,
    containers.probe_ports,
    containers.pinned_image,
    containers.restricted,
    pod_security.restricted_volumes,
    pod_security.restricted_kernel,
    containers.read_only_root,
    containers.writable_home,
    containers.no_plain_secrets,
    shared.no_token,
    shared.nothing_of_the_node,
    shared.bounded_scratch,
    shared.time_to_stop,
    shared.restricted_namespace,
    shared.scheduled_with_care,
    references.references,
    wiring.selectors,
    wiring.service_ports,
    wiring.named_objects,
    wiring.mounted_volumes,
    wiring.bound_roles,
    network.closed_network,
    network.named_edges,
    network.names_for_all,
    availability.disruption_budget,
    availability.spread,
    availability.replicas_left_alone,
    accepted.accepted,
)


class Exempt(NamedTuple):
    """One exception: which rule need not hold for which subjects (* stands for anything), and why."""

    rule: str
    subject: str
    reason: str


def exceptions(file: Path = EXCEPTIONS) -> tuple[Exempt, ...]:
    """Those of the file.

    Raises:
        ValueError: one has no reason, or names a rule that there is not.
    """
    with file.open("rb") as opened:
        listed = tuple(Exempt(**each) for each in tomllib.load(opened).get("exception", ()))
    names = {rule.__name__ for rule in RULES}
    for each in listed:
        if each.rule not in names or not each.reason.strip():
            raise ValueError(f"{file.name}: {each.rule} of {each.subject}: no such rule, or no reason")
    return listed


def sifted(found: Iterable[Finding], exempt: Iterable[Exempt]) -> tuple[list[Finding], set[Exempt]]:
    """What is left of the findings, and which exceptions were needed."""
    left, needed, listed = [], set(), tuple(exempt)
    for finding in found:
        hits = [
            each for each in listed if each.rule == finding.rule and fnmatch.fnmatchcase(finding.subject, each.subject)
        ]
        needed.update(hits)
        if not hits:
            left.append(finding)
    return left, needed
