"""Each rule lets a good set of manifests pass, and finds what is broken in it, by name."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.policies.finding import Objects, findings
from k8s.policies.pods import selects
from k8s.policies.quantities import quantity
from k8s.policies.rules import RULES, exceptions, sifted

Manifest: TypeAlias = dict[str, Any]
Break: TypeAlias = Callable[[dict[str, Manifest]], object]
_PROBE = {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5, "failureThreshold": 2}
_ELSEWHERE = {"tcpSocket": {"host": "elsewhere.example", "port": "http"}, "periodSeconds": 5, "failureThreshold": 2}


def good() -> dict[str, Manifest]:
    """A server, a store and a job, as the rules want them; by kind/name."""
    listed = [
        {
            "kind": "Namespace",
            "metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
        _named("ServiceAccount", "a", automountServiceAccountToken=False),
        _named("ConfigMap", "settings", data={"serving.json": "{}"}),
        _spec("Deployment", "web", selector={"matchLabels": {"app": "web"}}, template=_template("web")),
        _spec(
            "HorizontalPodAutoscaler",
            "web",
            scaleTargetRef={"kind": "Deployment", "name": "web"},
            minReplicas=2,
            maxReplicas=4,
        ),
        _spec("PodDisruptionBudget", "web", maxUnavailable=1, selector={"matchLabels": {"app": "web"}}),
        _spec("Service", "web", selector={"app": "web"}, ports=[{"port": 80, "targetPort": "http"}]),
        _spec(
            "StatefulSet",
            "store",
            serviceName="store",
            selector={"matchLabels": {"app": "store"}},
            template=_template("store"),
            volumeClaimTemplates=[{"metadata": {"name": "data"}}],
        ),
        _spec("Service", "store", selector={"app": "store"}, ports=[{"port": 8080}]),
        _spec(
            "CronJob",
            "again",
            schedule="0 3 * * 1-5",
            concurrencyPolicy="Forbid",
            timeZone="Etc/UTC",
            startingDeadlineSeconds=60,
            successfulJobsHistoryLimit=1,
            failedJobsHistoryLimit=1,
            suspend=False,
            jobTemplate={"spec": {"activeDeadlineSeconds": 60, "backoffLimit": 1, "template": _template("again")}},
        ),
        _named("Role", "maker"),
        _named(
            "RoleBinding",
            "maker",
            roleRef={"kind": "Role", "name": "maker"},
            subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "n"}],
        ),
        _spec("NetworkPolicy", "deny", podSelector={}, policyTypes=["Ingress", "Egress"]),
        _spec(
            "NetworkPolicy",
            "names",
            podSelector={},
            policyTypes=["Egress"],
            egress=[{"to": [{"podSelector": {"matchLabels": {"app": "dns"}}}], "ports": [{"port": 53}]}],
        ),
        _spec(
            "NetworkPolicy",
            "web-to-store",
            podSelector={"matchLabels": {"app": "web"}},
            policyTypes=["Egress"],
            egress=[{"to": [{"podSelector": {"matchLabels": {"app": "store"}}}], "ports": [{"port": 8080}]}],
        ),
    ]
    manifests = {f"{each['kind']}/{each['metadata']['name']}": each for each in listed}
    container(manifests, "StatefulSet/store")["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        del _of_job(manifests)["containers"][0][probe]  # a job ends by itself
    _of_job(manifests)["restartPolicy"] = "Never"
    return copy.deepcopy(manifests)


def _named(kind: str, name: str, **fields: Any) -> Manifest:
    return {"kind": kind, "metadata": {"name": name, "namespace": "n"}, **fields}


def _spec(kind: str, name: str, **spec: Any) -> Manifest:
    return _named(kind, name, spec=spec)


def _template(app: str) -> Manifest:
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "serviceAccountName": "a",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
            ],
            "containers": [
                {
                    "name": "main",
                    "image": "place.example:5000/web:1.0",
                    "env": [{"name": "WHERE", "value": "here"}, {"name": "HOME", "value": "/t/home"}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "startupProbe": _PROBE,
                    "readinessProbe": _PROBE,
                    "livenessProbe": {
                        "httpGet": {"path": "/livez", "port": 8080},
                        "periodSeconds": 10,
                        "failureThreshold": 6,
                    },
                    "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                        "limits": {"cpu": "1", "memory": "1024Mi", "ephemeral-storage": "2Gi"},
                    },
                    "volumeMounts": [{"name": "settings", "mountPath": "/etc/s"}, {"name": "tmp", "mountPath": "/t"}],
                }
            ],
            "volumes": [
                {"name": "settings", "configMap": {"name": "settings"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            ],
        },
    }


def pod(manifests: dict[str, Manifest], owner: str = "Deployment/web") -> Manifest:
    """The spec of the pods of one object."""
    spec: Manifest = manifests[owner]["spec"]["template"]["spec"]
    return spec


def container(manifests: dict[str, Manifest], owner: str = "Deployment/web") -> Manifest:
    """The container of those pods."""
    only: Manifest = pod(manifests, owner)["containers"][0]
    return only


def _own(manifests: dict[str, Manifest]) -> Manifest:
    """What that container may do."""
    may: Manifest = container(manifests)["securityContext"]
    return may


def _of_job(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["CronJob/again"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def _beside(app: str) -> Manifest:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def spec(manifests: dict[str, Manifest], of: str) -> Manifest:
    """The spec of one object."""
    found: Manifest = manifests[of]["spec"]
    return found


# rule, what breaks it, whom and what the finding names
BROKEN: list[tuple[str, Break, str, str]] = [
    ("requests_and_limits", lambda m: container(m)["resources"]["limits"].pop("memory"), "web/main", "no memory"),
    ("requests_and_limits", lambda m: _of_job(m)["containers"][0].pop("resources"), "again/main", "no cpu"),
    (
        "requests_and_limits",
        lambda m: container(m)["resources"]["requests"].update(memory="1025Mi"),
        "web/main",
        "1025Mi of memory",
    ),
    ("probes", lambda m: container(m, "StatefulSet/store").pop("startupProbe"), "store/main", "no startupProbe"),
    ("probes", lambda m: container(m).update(livenessProbe=_PROBE), "web/main", "the same"),
    ("probes", lambda m: container(m)["livenessProbe"].update(failureThreshold=1), "web/main", "gives up before"),
    ("probes", lambda m: container(m)["livenessProbe"]["httpGet"].update(path="/readyz"), "web/main", "/readyz"),
    ("probe_ports", lambda m: container(m)["livenessProbe"]["httpGet"].update(port=8081), "web/main", "port 8081"),
    ("probe_ports", lambda m: container(m)["ports"][0].update(name="web"), "web/main", "port http"),
    ("probe_ports", lambda m: container(m)["startupProbe"].update(exec={"command": ["true"]}), "web/main", "2 actions"),
    ("pinned_image", lambda m: container(m).update(image="place.example:5000/web"), "web/main", "no tag"),
    ("pinned_image", lambda m: container(m).update(image="web:latest"), "web/main", "latest"),
    ("pinned_image", lambda m: container(m).update(image="web@sha256:12"), "web/main", "no digest"),
    ("restricted", lambda m: pod(m)["securityContext"].pop("runAsNonRoot"), "web/main", "runAsNonRoot"),
    ("restricted", lambda m: container(m)["securityContext"].update(runAsUser=0), "web/main", "runAsUser"),
    ("restricted", lambda m: pod(m)["securityContext"].pop("seccompProfile"), "web/main", "seccompProfile"),
    ("restricted", lambda m: container(m)["securityContext"].pop("allowPrivilegeEscalation"), "web/main", "allowPriv"),
    ("restricted", lambda m: container(m)["securityContext"].update(privileged=True), "web/main", "privileged"),
    (
        "restricted",
        lambda m: container(m)["securityContext"]["capabilities"].update(add=["CHOWN"]),
        "web/main",
        "capab",
    ),
    ("read_only_root", lambda m: container(m).pop("securityContext"), "web/main", "readOnlyRootFilesystem"),
    (
        "no_plain_secrets",
        lambda m: container(m)["env"].append({"name": "HEARTH_REDIS_PASSWORD", "value": "x"}),
        "web/main",
        "HEARTH_REDIS_PASSWORD",
    ),
    ("no_token", lambda m: pod(m).pop("automountServiceAccountToken"), "Deployment/web", "automount"),
    ("no_token", lambda m: pod(m).pop("serviceAccountName"), "Deployment/web", "default"),
    ("no_token", lambda m: m["ServiceAccount/a"].pop("automountServiceAccountToken"), "ServiceAccount/a", "automount"),
    ("nothing_of_the_node", lambda m: pod(m).update(hostNetwork=True), "Deployment/web", "hostNetwork"),
    (
        "nothing_of_the_node",
        lambda m: pod(m)["volumes"].append({"name": "etc", "hostPath": {"path": "/etc"}}),
        "Deployment/web",
        "hostPath",
    ),
    ("nothing_of_the_node", lambda m: container(m)["ports"][0].update(hostPort=80), "web/main", "hostPort"),
    ("bounded_scratch", lambda m: pod(m)["volumes"][1].update(emptyDir={}), "Deployment/web", "tmp has no sizeLimit"),
    ("time_to_stop", lambda m: pod(m).update(terminationGracePeriodSeconds=10), "web/main", "10 s of 10 s"),
    ("restricted_namespace", lambda m: m["Namespace/n"]["metadata"].pop("labels"), "Namespace/n", "restricted"),
    ("restricted_namespace", lambda m: m["Deployment/web"]["metadata"].pop("namespace"), "Deployment/web", "default"),
    ("scheduled_with_care", lambda m: spec(m, "CronJob/again").update(concurrencyPolicy="Allow"), "again", "Forbid"),
    ("scheduled_with_care", lambda m: spec(m, "CronJob/again").pop("timeZone"), "CronJob/again", "timeZone"),
    (
        "scheduled_with_care",
        lambda m: spec(m, "CronJob/again")["jobTemplate"]["spec"].pop("backoffLimit"),
        "CronJob/again",
        "backoffLimit",
    ),
    ("references", lambda m: m.pop("ConfigMap/settings"), "Deployment/web", "ConfigMap/settings"),
    ("references", lambda m: m.pop("ServiceAccount/a"), "CronJob/again", "ServiceAccount/a"),
    (
        "references",
        lambda m: pod(m)["volumes"][0].update(configMap=None, secret={"secretName": "nobody-makes-it"}),
        "Deployment/web",
        "Secret/nobody-makes-it",
    ),
    (
        "references",
        lambda m: pod(m)["volumes"][0].update(configMap=None, persistentVolumeClaim={"claimName": "c"}),
        "Deployment/web",
        "PersistentVolumeClaim/c",
    ),
    (
        "references",
        lambda m: pod(m)["volumes"][0].update(configMap=None, projected={"sources": [{"secret": {"name": "s"}}]}),
        "Deployment/web",
        "Secret/s",
    ),
    (
        "references",
        lambda m: container(m)["env"].append({"name": "X", "valueFrom": {"secretKeyRef": {"name": "k", "key": "x"}}}),
        "Deployment/web",
        "Secret/k",
    ),
    ("references", lambda m: container(m).update(envFrom=[{"configMapRef": {"name": "e"}}]), "web", "ConfigMap/e"),
    (
        "selectors",
        lambda m: spec(m, "Deployment/web")["selector"]["matchLabels"].update(app="other"),
        "Deployment/web",
        "its own pods",
    ),
    ("selectors", lambda m: spec(m, "Service/web")["selector"].update(app="other"), "Service/web", "no pod"),
    (
        "selectors",
        lambda m: spec(m, "PodDisruptionBudget/web")["selector"]["matchLabels"].update(app="other"),
        "PodDisruptionBudget/web",
        "no pod",
    ),
    (
        "selectors",
        lambda m: pod(m)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(app="other"),
        "Deployment/web",
        "does not count",
    ),
    ("service_ports", lambda m: spec(m, "Service/web")["ports"][0].update(targetPort="https"), "Service/web", "https"),
    ("service_ports", lambda m: spec(m, "Service/store")["ports"][0].update(port=6379), "Service/store", "6379"),
    ("named_objects", lambda m: m.pop("Deployment/web"), "HorizontalPodAutoscaler/web", "Deployment/web"),
    ("named_objects", lambda m: spec(m, "StatefulSet/store").pop("serviceName"), "StatefulSet/store", "Service"),
    ("mounted_volumes", lambda m: pod(m)["volumes"].pop(), "web/main", "tmp"),
    ("mounted_volumes", lambda m: container(m)["volumeMounts"].pop(), "Deployment/web", "nobody mounts"),
    ("mounted_volumes", lambda m: container(m)["volumeMounts"][1].update(mountPath="/etc/s"), "web/main", "one path"),
    ("closed_network", lambda m: m.pop("NetworkPolicy/deny"), "CronJob/again", "ingress"),
    (
        "closed_network",
        lambda m: (m.pop("NetworkPolicy/names"), spec(m, "NetworkPolicy/deny").update(policyTypes=["Ingress"])),
        "store",
        "egress",
    ),
    ("names_for_all", lambda m: m.pop("NetworkPolicy/names"), "StatefulSet/store", "port 53"),
    ("restricted_volumes", lambda m: pod(m)["volumes"][1].update(nfs={"server": "a", "path": "/b"}), "web", "kind nfs"),
    ("restricted_kernel", lambda m: pod(m)["securityContext"].update(sysctls=[{"name": "a"}]), "web", "sysctls"),
    ("restricted_kernel", lambda m: pod(m)["securityContext"].update(seLinuxOptions={"type": "a"}), "web", "seLinux"),
    ("restricted_kernel", lambda m: _own(m).update(procMount="Unmasked"), "web/main", "procMount is Unmasked"),
    ("restricted_kernel", lambda m: _own(m).update(appArmorProfile={"type": "Unconfined"}), "web/main", "appArmor"),
    ("restricted_kernel", lambda m: _own(m).update(windowsOptions={"hostProcess": True}), "web/main", "Windows"),
    ("restricted_kernel", lambda m: container(m).update(readinessProbe=_ELSEWHERE), "web/main", "readinessProbe asks"),
    (
        "restricted_kernel",
        lambda m: container(m).update(lifecycle={"preStop": _ELSEWHERE}),
        "web/main",
        "preStop asks another host",
    ),
    (
        "restricted_namespace",
        lambda m: m["Namespace/n"]["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce-version": "v1.1"}),
        "Namespace/n",
        "was in v1.1",
    ),
    ("writable_home", lambda m: container(m)["volumeMounts"].pop(), "web/main", "HOME is /t/home"),
    ("writable_home", lambda m: container(m)["volumeMounts"][1].update(readOnly=True), "web/main", "HOME is /t/home"),
    ("bound_roles", lambda m: m.pop("Role/maker"), "RoleBinding/maker", "Role/maker"),
    ("bound_roles", lambda m: m["Role/maker"].update(rules=[{"verbs": ["*"]}]), "Role/maker", "lets *"),
    ("bound_roles", lambda m: m["Role/maker"].update(rules=[{"resources": ["a", "*"]}]), "Role/maker", "lets *"),
    ("bound_roles", lambda m: m["Role/maker"].update(rules=[{"apiGroups": ["*"]}]), "Role/maker", "lets *"),
    ("bound_roles", lambda m: m["RoleBinding/maker"]["subjects"][0].pop("namespace"), "maker", "does not say where"),
    ("bound_roles", lambda m: m["RoleBinding/maker"]["subjects"][0].update(name="b"), "maker", "ServiceAccount/b"),
    ("selectors", lambda m: _of_job(m).update(affinity=_beside("nobody")), "CronJob/again", "affinity"),
    ("accepted", lambda m: m["ConfigMap/settings"]["metadata"].update(name="a_b"), "ConfigMap/a_b", "is no name"),
    ("accepted", lambda m: m["Role/maker"]["metadata"].update(labels={"a": "b/c"}), "Role/maker", "'b/c'"),
    ("accepted", lambda m: pod(m).update(restartPolicy="Never"), "Deployment/web", "restartPolicy is one of Always"),
    ("accepted", lambda m: _of_job(m).update(restartPolicy="Always"), "CronJob/again", "one of Never, OnFailure"),
    ("accepted", lambda m: spec(m, "CronJob/again").update(schedule="0 25 * * *"), "again", "'0 25 * * *'"),
    ("accepted", lambda m: spec(m, "CronJob/again").update(schedule="0 3 * *"), "again", "five fields"),
    ("accepted", lambda m: spec(m, "CronJob/again").update(timeZone="Mars/Base"), "again", "'Mars/Base'"),
    ("accepted", lambda m: spec(m, "HorizontalPodAutoscaler/web").update(minReplicas=5), "web", "more than max"),
    ("accepted", lambda m: spec(m, "PodDisruptionBudget/web").update(minAvailable=1), "web", "just one of"),
    ("accepted", lambda m: container(m)["livenessProbe"].update(successThreshold=2), "web/main", "successThreshold"),
    ("accepted", lambda m: container(m)["env"].append({"name": "WHERE", "value": ""}), "web/main", "WHERE more than"),
    ("accepted", lambda m: container(m)["ports"][0].update(name="a-name-of-16-let"), "web/main", "a-name-of-16-let"),
    ("named_edges", lambda m: spec(m, "NetworkPolicy/web-to-store")["egress"][0].pop("to"), "web-to-store", "anywhere"),
    ("named_edges", lambda m: spec(m, "NetworkPolicy/web-to-store")["egress"][0].pop("ports"), "to-store", "any port"),
    (
        "named_edges",
        lambda m: spec(m, "NetworkPolicy/web-to-store")["egress"][0].update(to=[{"namespaceSelector": {}}]),
        "web-to-store",
        "every namespace",
    ),
    ("disruption_budget", lambda m: m.pop("PodDisruptionBudget/web"), "Deployment/web", "PodDisruptionBudget"),
    (
        "disruption_budget",
        lambda m: m.update(second={**m["PodDisruptionBudget/web"], "metadata": {"name": "b", "namespace": "n"}}),
        "Deployment/web",
        "more than one",
    ),
    ("spread", lambda m: pod(m).pop("topologySpreadConstraints"), "Deployment/web", "one node"),
    ("replicas_left_alone", lambda m: spec(m, "Deployment/web").update(replicas=2), "Deployment/web", "replicas"),
]


def test_a_good_set_of_manifests_breaks_no_rule() -> None:
    assert findings(Objects(good().values()), RULES) == []


@pytest.mark.parametrize(
    ("rule", "breaking", "who", "what"), BROKEN, ids=[f"{rule}: {what}" for rule, _, _, what in BROKEN]
)
def test_a_broken_manifest_is_found_by_the_rule_that_it_breaks(rule: str, breaking: Break, who: str, what: str) -> None:
    manifests = good()
    breaking(manifests)
    found = [each for each in findings(Objects(manifests.values()), RULES) if each.rule == rule]
    assert any(each.subject.endswith(who) and what in each.what for each in found), found


def test_every_rule_is_seen_to_find_something() -> None:
    assert {rule for rule, *_ in BROKEN} == {rule.__name__ for rule in RULES}


def test_a_side_car_among_the_init_containers_is_probed_like_what_runs_for_long() -> None:
    manifests = good()
    beside = {**copy.deepcopy(container(manifests)), "name": "beside", "restartPolicy": "Always"}
    del beside["livenessProbe"]
    pod(manifests)["initContainers"] = [beside]
    found = findings(Objects(manifests.values()), RULES)
    assert [(each.rule, each.subject) for each in found] == [("probes", "Deployment/web/beside")]


def test_what_may_be_missing_and_what_others_make_is_no_finding() -> None:
    manifests = good()
    pod(manifests)["volumes"][0] = {"name": "settings", "configMap": {"name": "not-there", "optional": True}}
    container(manifests)["env"].append(
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "store-keys-x", "key": "k"}}}
    )
    assert findings(Objects(manifests.values()), RULES) == []


def test_an_exception_is_of_one_rule_and_one_subject_and_has_a_reason(tmp_path: Path) -> None:
    manifests = good()
    pod(manifests).update(automountServiceAccountToken=True, hostNetwork=True)
    file = tmp_path / "exceptions.toml"
    file.write_text('[[exception]]\nrule = "no_token"\nsubject = "Deployment/w*"\nreason = "for this test"\n')
    left, needed = sifted(findings(Objects(manifests.values()), RULES), exceptions(file))
    assert [each.rule for each in left] == ["nothing_of_the_node"]
    assert needed == {*exceptions(file)}
    assert sifted(findings(Objects(good().values()), RULES), exceptions(file)) == ([], set())
    for line in ('reason = " "', 'reason = "r"\nrule = "no_such_rule"'):
        rule = "" if "rule" in line else 'rule = "no_token"\n'
        file.write_text(f'[[exception]]\nsubject = "x"\n{rule}{line}\n')
        with pytest.raises(ValueError, match="no such rule, or no reason"):
            exceptions(file)


_LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
_EXPRESSIONS = st.fixed_dictionaries(
    {
        "key": st.sampled_from("ab"),
        "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
        "values": st.lists(st.sampled_from("xy"), min_size=1),
    }
)


@given(_LABELS, _LABELS, st.lists(_EXPRESSIONS, max_size=3))
def test_a_selector_chooses_what_meets_all_that_it_asks(
    labels: dict[str, str], asked: dict[str, str], expressions: list[Manifest]
) -> None:
    def each() -> Iterator[bool]:
        for key, value in asked.items():
            yield key in labels and labels[key] == value
        for expression in expressions:
            there, named = expression["key"] in labels, labels.get(expression["key"]) in expression["values"]
            # as Kubernetes has it: what lacks the key is "not in" any values
            yield {"In": there and named, "NotIn": not named, "Exists": there, "DoesNotExist": not there}[
                expression["operator"]
            ]

    assert selects({"matchLabels": asked, "matchExpressions": expressions}, labels) is all(each())


@pytest.mark.parametrize(
    ("less", "more"),
    [("999m", 1), ("1Gi", "1025Mi"), ("1G", "1Gi"), ("1023Ki", "1Mi"), ("1.5", "1501m"), (0, "1m"), ("1M", "1Mi")],
)
def test_quantities_are_compared_whatever_their_unit(less: str | int, more: str | int) -> None:
    assert quantity(less) < quantity(more)


@pytest.mark.parametrize("text", ["", "Mi", "1Ti2", "1mi", "one", "1 Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)
