"""Rules about a pod as a whole: what it shares with the node, the API server and its neighbours."""

from collections.abc import Iterator

from k8s.policies.finding import Broken, Objects, namespace_of, subject
from k8s.policies.pods import pods_of


def no_token(objects: Objects) -> Iterator[Broken]:
    """No pod can speak to the API server, and none is the account `default`."""
    for pods in pods_of(objects):
        if pods.spec.get("automountServiceAccountToken") is not False:
            yield pods.subject, "automountServiceAccountToken is not false"
        if pods.spec.get("serviceAccountName", "default") == "default":
            yield pods.subject, "serviceAccountName is default, or not there"
    for account in objects.of_kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield subject(account), "automountServiceAccountToken is not false"


def nothing_of_the_node(objects: Objects) -> Iterator[Broken]:
    """Neither the node's network nor its processes nor its files."""
    for pods in pods_of(objects):
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pods.spec.get(field):
                yield pods.subject, field
        for volume in pods.spec.get("volumes", ()):
            if "hostPath" in volume:
                yield pods.subject, f"volume {volume['name']} is of the node (hostPath)"
        for container in pods.containers:
            if any("hostPort" in port for port in container.get("ports", ())):
                yield f"{pods.subject}/{container['name']}", "hostPort"


def bounded_scratch(objects: Objects) -> Iterator[Broken]:
    """What a pod may write beside its claims has a size."""
    for pods in pods_of(objects):
        for volume in pods.spec.get("volumes", ()):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield pods.subject, f"emptyDir {volume['name']} has no sizeLimit"


def time_to_stop(objects: Objects) -> Iterator[Broken]:
    """A pod has longer to stop than what it waits before it is told to."""
    for pods in pods_of(objects):
        given = pods.spec.get("terminationGracePeriodSeconds", 30)
        for container in pods.containers:
            waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if waits >= given:
                yield f"{pods.subject}/{container['name']}", f"preStop takes {waits} s of {given} s"


def restricted_namespace(objects: Objects) -> Iterator[Broken]:
    """Each namespace is there, and enforces the restricted Pod Security standard."""
    declared = set()
    for namespace in objects.of_kind("Namespace"):
        declared.add(namespace["metadata"]["name"])
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield subject(namespace), "does not enforce restricted Pod Security"
        if (version := labels.get("pod-security.kubernetes.io/enforce-version", "latest")) != "latest":
            yield subject(namespace), f"enforces what restricted Pod Security was in {version}"
    for pods in pods_of(objects):
        if pods.namespace not in declared:
            yield (
                pods.subject,
                f"is in the namespace {namespace_of(pods.owner) or 'default'}, which is not declared here",
            )


def scheduled_with_care(objects: Objects) -> Iterator[Broken]:
    """A CronJob says all of what happens when a run is late, long, failing, or still under way."""
    for job in objects.of_kind("CronJob"):
        spec, run = job["spec"], job["spec"]["jobTemplate"]["spec"]
        if spec.get("concurrencyPolicy") != "Forbid":
            yield subject(job), "concurrencyPolicy is not Forbid"
        needed = (
            "timeZone",
            "startingDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
            "suspend",
        )
        for field in needed:
            if field not in spec:
                yield subject(job), f"does not say {field}"
        for field in ("activeDeadlineSeconds", "backoffLimit"):
            if field not in run:
                yield subject(job), f"does not say {field}"
