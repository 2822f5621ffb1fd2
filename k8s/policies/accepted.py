"""A rule about what an API server refuses and no schema says."""

import re
from collections.abc import Iterator
from zoneinfo import available_timezones

from k8s.policies.finding import Broken, Object, Objects, name_of, subject
from k8s.policies.pods import LASTING, each_container, pods_of

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
_PORT = re.compile(r"(?!.*--)(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
# minute, hour, day of the month, month, day of the week: the least and the most of each
_TIMES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_RESTARTS = {**dict.fromkeys(LASTING, ("Always",)), **dict.fromkeys(("Job", "CronJob"), ("Never", "OnFailure"))}


def accepted(objects: Objects) -> Iterator[Broken]:
    """Names, times and numbers are such as an API server takes."""
    for thing in objects:
        labels = thing["metadata"].get("labels", {})
        if not _NAME.fullmatch(name_of(thing)):
            yield subject(thing), "is no name: small letters, digits, - and . alone, and not at the ends"
        for key, value in labels.items():
            if not _LABEL.fullmatch(value):
                yield subject(thing), f"label {key} cannot be {value!r}"
        yield from _of_spec(thing)
    for pods in pods_of(objects):
        wanted = _RESTARTS.get(pods.owner["kind"])
        if wanted and pods.spec.get("restartPolicy", "Always") not in wanted:
            yield pods.subject, f"restartPolicy is one of {', '.join(wanted)}"
    for where, _, container in each_container(objects):
        yield from ((where, what) for what in _of_container(container))


def _of_spec(thing: Object) -> Iterator[Broken]:
    spec = thing.get("spec", {})
    match thing["kind"]:
        case "CronJob":
            if not _is_time(spec["schedule"]):
                yield subject(thing), f"schedule {spec['schedule']!r} is no five fields of a time"
            zones = available_timezones()  # none at all where the machine has no list of them
            if zones and spec.get("timeZone", "Etc/UTC") not in zones:
                yield subject(thing), f"timeZone {spec['timeZone']!r} is none"
        case "HorizontalPodAutoscaler":
            if spec.get("minReplicas", 1) > spec["maxReplicas"]:
                yield (
                    subject(thing),
                    f"minReplicas {spec['minReplicas']} is more than maxReplicas {spec['maxReplicas']}",
                )
        case "PodDisruptionBudget":
            if ("minAvailable" in spec) == ("maxUnavailable" in spec):
                yield subject(thing), "says not just one of minAvailable and maxUnavailable"


def _of_container(container: Object) -> Iterator[str]:
    for probe in ("startupProbe", "livenessProbe"):
        if container.get(probe, {}).get("successThreshold", 1) != 1:
            yield f"{probe} has a successThreshold other than 1"
    for listed, key in (("env", "name"), ("ports", "name"), ("volumeMounts", "mountPath")):
        found = [each[key] for each in container.get(listed, ()) if key in each]
        for twice in sorted({each for each in found if found.count(each) > 1}):
            yield f"{listed} has {twice} more than once"
    for port in container.get("ports", ()):
        if "name" in port and not _PORT.fullmatch(port["name"]):
            yield f"port {port['name']} is no name: at most 15 small letters, digits and single -"


def _is_time(schedule: str) -> bool:
    fields = schedule.split()
    return len(fields) == len(_TIMES) and all(
        re.fullmatch(r"(\*|\d+(-\d+)?)(/\d+)?", part) and all(least <= int(number) <= most for number in _numbers(part))
        for field, (least, most) in zip(fields, _TIMES, strict=True)
        for part in field.split(",")
    )


def _numbers(part: str) -> list[str]:
    return re.findall(r"\d+", part.partition("/")[0])
