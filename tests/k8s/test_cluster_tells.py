"""What is wrong in a manifest is told by name when it is run: here a cell's Redis, broken in several ways."""

import base64
import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hearth.kubernetes.secrets import make_cell
from k8s.policies.finding import Object
from tests.k8s.cluster.environment import command_of, put_in, variables_of
from tests.k8s.cluster.places import PROJECT
from tests.k8s.cluster.probes import port_of
from tests.k8s.cluster.ways import Forbidden, Way, way_here
from tests.k8s.cluster.wrong import NotThere, Wrong
from tests.k8s.manifests import named, rendered

PATIENCE = 120.0
NAME = "redis-cell-1"


@pytest.fixture(scope="module")
def way() -> Way:
    try:
        return way_here()
    except Forbidden as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What a cell's Redis is given: the settings of the dev overlay, and a secret."""
    folder = tmp_path_factory.mktemp("secrets")
    make_cell(folder, "-cell-1")
    files = sorted((folder / "redis-access-cell-1").iterdir())
    secret = {
        "kind": "Secret",
        "metadata": {"name": "redis-access-cell-1", "namespace": "hearth-dev"},
        "data": {file.name: base64.b64encode(file.read_bytes()).decode() for file in files},
    }
    return [*rendered("dev").of_kind("ConfigMap"), secret]


class Redis:
    """One of its own name, to be broken."""

    def __init__(self, name: str) -> None:
        (thing,) = [each for each in rendered("dev").of_kind("StatefulSet") if each["metadata"]["name"] == NAME]
        self.thing = copy.deepcopy(thing)
        self.thing["metadata"]["name"] = name

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.thing["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pod["containers"][0]
        return found


def started(way: Way, objects: list[Object], folder: Path, seconds: float) -> "subprocess.CompletedProcess[str]":
    """What comes of starting them, and of so many seconds to become ready."""
    (folder / "objects.json").write_text(json.dumps(objects))
    users = "users" if way.has_users else "one-user"
    return subprocess.run(
        [*way.node(), sys.executable, "-m", "tests.k8s.cluster.started", str(folder), users, str(seconds)],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_what_is_not_ready_in_time_is_named_with_what_its_probes_and_the_machine_say(
    way: Way, around: list[Object], tmp_path: Path
) -> None:
    port, path, secret, group = Redis("port"), Redis("path"), Redis("secret"), Redis("group")
    port.container["ports"][0]["containerPort"] = 6380
    # A server that knows no paths but those of its folder, which is empty.
    path.container.update(image="hearth-serving", command=["python", "-m", "http.server", "6379"])
    path.container["readinessProbe"] = {"httpGet": {"path": "/readyzz", "port": "redis"}, "periodSeconds": 1}
    (volume,) = [each for each in secret.pod["volumes"] if "secret" in each]
    volume["secret"]["secretName"] = "redis-access-cell-9"
    # Without its group the volume is root's; where we are one user alone, nobody is kept out.
    del group.pod["securityContext"]["fsGroup"]
    done = started(way, [*around, *(each.thing for each in (port, path, secret, group))], tmp_path, 10)
    assert done.returncode == 1
    told = re.split(r"^(?=\w+-0/redis: )", done.stderr, flags=re.MULTILINE)
    said = {each.partition("-0/")[0]: each for each in told}
    assert "startupProbe: tcpSocket {'port': 'redis'}: ConnectionRefusedError" in said["port"]
    assert "readinessProbe: GET /readyzz at port 6379: status 404" in said["path"]
    assert "Secret/redis-access-cell-9 is not there" in said["secret"]
    assert ("group" in said) == way.has_users
    if way.has_users:
        assert re.search("ended with 1.*Permission denied", said["group"], re.DOTALL)


def test_a_job_that_fails_again_and_again_is_told_with_what_it_said_long_before_the_time_is_over(
    way: Way, around: list[Object], tmp_path: Path
) -> None:
    waits = Redis("waits")
    (volume,) = [each for each in waits.pod["volumes"] if "secret" in each]
    volume["secret"]["secretName"] = "made-by-the-job"
    (job,) = rendered("dev").of_kind("Job")
    job = copy.deepcopy(job)
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["herth", "kubernetes", "first-secrets"]
    done = started(way, [*around, waits.thing, job], tmp_path, 10 * PATIENCE)
    assert done.returncode == 1
    assert re.search("NotReady: first-secrets-x1 failed:\nfirst-secrets-x1/first-secrets: ended with 127", done.stderr)
    assert "herth" in done.stderr
    assert "waits-0/redis: Secret/made-by-the-job is not there" in done.stderr


def test_a_service_that_leads_to_a_port_that_no_container_has_is_named(
    way: Way, around: list[Object], tmp_path: Path
) -> None:
    (service,) = [each for each in rendered("dev").of_kind("Service") if each["metadata"]["name"] == NAME]
    service = copy.deepcopy(service)
    service["spec"]["ports"][0]["targetPort"] = "http"
    done = started(way, [*around, Redis(NAME).thing, service], tmp_path, 60)
    assert done.returncode == 1
    assert "Wrong: Service/redis-cell-1 leads to port http, which no container of redis-cell-1-0 has" in done.stderr


def test_what_is_right_ends_by_itself_and_what_does_not_answer_to_sigterm_is_told_as_killed(
    way: Way, around: list[Object], tmp_path: Path
) -> None:
    """A shell that is the first process of its container is not ended by SIGTERM, as it is elsewhere."""
    right, deaf = Redis("right"), Redis("deaf")
    deaf.container["command"] = ["sh", "-c", f"{' '.join(deaf.container['command'])}; true"]
    deaf.pod["terminationGracePeriodSeconds"] = 1
    done = started(way, [*around, right.thing, deaf.thing], tmp_path, 60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["right-0/redis"]["status"], told["right-0/redis"]["killed"]) == (0, False)
    assert told["deaf-0/redis"]["killed"]


def test_a_probe_of_a_port_that_the_container_has_not_is_named() -> None:
    spec = named("serving", "dev")[0].spec
    assert port_of(spec, "http") == port_of(spec, 8080) == 8080
    with pytest.raises(Wrong, match=r"serving has no port https; it has \['http'\]"):
        port_of(spec, "https")


def data_of(kind: str, name: str) -> dict[str, bytes]:
    if (kind, name) == ("Secret", "who"):
        return {"password": b"a word", "user": b"cell"}
    raise NotThere(f"{kind}/{name} is not there")


def of_secret(key: str, **more: Any) -> dict[str, Any]:
    return {"env": [{"name": "WHO", "valueFrom": {"secretKeyRef": {"name": "who", "key": key, **more}}}]}


def test_a_variable_of_a_key_that_there_is_not_is_named_unless_it_may_be_missing() -> None:
    with pytest.raises(Wrong, match=r"variable WHO: Secret/who has no key name; it has \['password', 'user'\]"):
        variables_of(of_secret("name"), {}, {}, data_of)
    assert variables_of(of_secret("name", optional=True), {}, {}, data_of) == {}
    assert variables_of(of_secret("user"), {}, {}, data_of) == {"WHO": "cell"}


def test_an_object_that_variables_are_of_may_come_and_is_named_until_then() -> None:
    source: dict[str, Any] = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    with pytest.raises(NotThere, match="ConfigMap/settings is not there"):
        variables_of(source, {}, {}, data_of)
    source["envFrom"][0]["configMapRef"]["optional"] = True
    assert variables_of(source, {"PATH": "/bin"}, {}, data_of) == {"PATH": "/bin"}


def test_variables_are_the_images_then_whole_objects_then_single_ones_and_refer_to_those_before() -> None:
    spec = {
        "envFrom": [{"secretRef": {"name": "who"}, "prefix": "OF_"}],
        "env": [
            {"name": "PATH", "value": "/opt:$(PATH)"},
            {"name": "OF_user", "value": "$(POD)/$(NOBODY)/$$(POD)"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LAST", "value": "$(POD)"},
        ],
        "command": ["start", "$(LAST)", "$$(LAST)"],
        "args": ["$(OF_password)"],
    }
    found = variables_of(spec, {"PATH": "/bin"}, {"metadata.name": "pod-0"}, data_of)
    assert found == {
        "PATH": "/opt:/bin",
        "OF_user": "$(POD)/$(NOBODY)/$(POD)",
        "OF_password": "a word",
        "POD": "pod-0",
        "LAST": "pod-0",
    }
    assert command_of(spec, found) == ["start", "pod-0", "$(LAST)", "a word"]
    assert put_in("$(A)$(A)", {"A": "1"}) == "11"
