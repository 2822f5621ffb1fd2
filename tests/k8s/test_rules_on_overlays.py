"""What is broken in every pod or container of a real overlay is told of each of them, and nothing is told before.

Which pods and containers there are is looked up here without the rules' own way of finding them.
"""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import pytest

from k8s.policies.finding import Objects, findings
from k8s.policies.rules import RULES, exceptions, sifted
from tests.k8s.manifests import OVERLAYS, rendered

Part: TypeAlias = dict[str, Any]
_BY_NAME = {rule.__name__: rule for rule in RULES}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


class Pod(NamedTuple):
    """Of what starts it: kind/name; and its spec."""

    owner: str
    spec: Part


def pods(objects: Objects) -> list[Pod]:
    """Every pod that something starts: a spec, however deep, that has containers."""

    def within(node: Any) -> Iterator[Part]:
        for key, value in node.items():
            if key == "spec" and "containers" in value:
                yield value
            elif isinstance(value, dict):
                yield from within(value)

    return [Pod(f"{each['kind']}/{each['metadata']['name']}", spec) for each in objects for spec in within(each)]


def _with_ports(container: Part) -> list[Part]:
    """The actions of its probes that ask a port."""
    actions = [action for probe in _PROBES for action in container.get(probe, {}).values() if isinstance(action, dict)]
    return [action for action in actions if "port" in action]


def _to_no_port(container: Part) -> None:
    for action in _with_ports(container):
        action["port"] = 1


def _scratch(spec: Part) -> list[Part]:
    return [each for each in spec.get("volumes", ()) if "emptyDir" in each]


def _unbounded(spec: Part) -> None:
    for volume in _scratch(spec):
        volume["emptyDir"] = {}


def _secrets(spec: Part) -> list[Part]:
    return [
        each["secret"]
        for each in spec.get("volumes", ())
        if "secret" in each and not each["secret"].get("optional", False)
    ]


def _misnamed(spec: Part) -> None:
    for secret in _secrets(spec):
        secret["secretName"] = "nobody-makes-it"


def _stays(pod: Pod, container: Part) -> bool:
    return container in pod.spec["containers"] and not pod.owner.startswith(("Job/", "CronJob/"))


# rule, what breaks it in a container, which containers it can be broken in
OF_CONTAINERS: list[tuple[str, Callable[[Part], object], Callable[[Pod, Part], object]]] = [
    ("requests_and_limits", lambda c: c["resources"].pop("limits"), lambda _, c: c),
    ("probes", lambda c: c.pop("readinessProbe", None), _stays),
    ("probe_ports", _to_no_port, lambda _, c: _with_ports(c)),
    ("pinned_image", lambda c: c.update(image="hearth-serving"), lambda _, c: c),
    ("restricted", lambda c: c["securityContext"].pop("capabilities"), lambda _, c: c),
    ("restricted_kernel", lambda c: c["securityContext"].update(procMount="Unmasked"), lambda _, c: c),
    ("read_only_root", lambda c: c["securityContext"].pop("readOnlyRootFilesystem"), lambda _, c: c),
    ("no_plain_secrets", lambda c: c.update(env=[{"name": "A_PASSWORD", "value": "x"}]), lambda _, c: c),
    ("accepted", lambda c: c.update(env=[{"name": "A", "value": "x"}] * 2), lambda _, c: c),
]
# rule, what breaks it in the spec of a pod, which pods it can be broken in
OF_PODS: list[tuple[str, Callable[[Part], object], Callable[[Part], object]]] = [
    ("no_token", lambda spec: spec.update(automountServiceAccountToken=True), lambda _: True),
    ("nothing_of_the_node", lambda spec: spec.update(hostNetwork=True), lambda _: True),
    ("bounded_scratch", _unbounded, _scratch),
    ("references", _misnamed, _secrets),
    ("references", lambda spec: spec.update(serviceAccountName="nobody"), lambda _: True),
    ("mounted_volumes", lambda spec: spec.update(volumes=[]), lambda spec: spec.get("volumes")),
    ("restricted_volumes", lambda spec: spec.update(volumes=[{"name": "x", "nfs": {}}]), lambda _: True),
]


@cache
def found(overlay: str) -> list[tuple[str, str]]:
    """Rule and subject of all that is found in an overlay as it is."""
    return [(each.rule, each.subject) for each in findings(rendered(overlay), RULES)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_as_it_is_breaks_no_rule_but_those_that_it_is_let_off(overlay: str) -> None:
    left, _ = sifted(findings(rendered(overlay), RULES), exceptions())
    assert left == []


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(("rule", "breaking", "applies"), OF_CONTAINERS, ids=[rule for rule, *_ in OF_CONTAINERS])
def test_what_is_broken_in_each_container_is_told_of_each(
    overlay: str, rule: str, breaking: Callable[[Part], object], applies: Callable[[Pod, Part], object]
) -> None:
    objects = Objects(copy.deepcopy([*rendered(overlay)]))
    broken = {
        f"{pod.owner}/{container['name']}": container
        for pod in pods(objects)
        for container in [*pod.spec.get("initContainers", ()), *pod.spec["containers"]]
        if applies(pod, container)
    }
    assert broken
    assert not {subject for name, subject in found(overlay) if name == rule} & broken.keys()
    for container in broken.values():
        breaking(container)
    assert broken.keys() <= {each.subject for each in findings(objects, [_BY_NAME[rule]])}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("rule", "breaking", "applies"), OF_PODS, ids=[f"{rule} {number}" for number, (rule, *_) in enumerate(OF_PODS)]
)
def test_what_is_broken_in_each_pod_is_told_of_each(
    overlay: str, rule: str, breaking: Callable[[Part], object], applies: Callable[[Part], object]
) -> None:
    objects = Objects(copy.deepcopy([*rendered(overlay)]))
    before = {subject for name, subject in found(overlay) if name == rule}
    broken = [pod for pod in pods(objects) if applies(pod.spec) and pod.owner not in before]
    assert broken
    for pod in broken:
        breaking(pod.spec)
    # some say in which container: kind/name/container
    told = {"/".join(each.subject.split("/")[:2]) for each in findings(objects, [_BY_NAME[rule]])}
    assert {pod.owner for pod in broken} <= told


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_selector_chooses_a_pod_whose_labels_are_others(overlay: str) -> None:
    objects = Objects(copy.deepcopy([*rendered(overlay)]))
    choosing = {each.subject for each in findings(objects, [_BY_NAME["selectors"]])}
    assert choosing == set()
    for thing in objects:
        for template in (thing.get("spec", {}).get("template"), thing.get("spec", {}).get("jobTemplate")):
            if template is not None:
                template.get("metadata", {}).get("labels", {}).clear()
    told = {each.subject for each in findings(objects, [_BY_NAME["selectors"]])}
    services = {f"Service/{each['metadata']['name']}" for each in objects.of_kind("Service")}
    assert services
    assert services <= told
