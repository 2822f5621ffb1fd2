"""What the manifests set is what the programs read: settings, variables, commands, files, probes, ports."""

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import re
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer

import hearth.cli
from hearth import environment
from hearth.kubernetes.secrets import make_cell, make_centre, make_redis_tls, name_nodes
from hearth.retraining.settings import read_retraining_settings
from k8s.policies.pods import pods_of
from k8s.policies.quantities import quantity
from serving.app import description
from serving.config import ServingConfig
from tests.k8s.manifests import K8S, OVERLAYS, Container, containers, named, rendered, serving_settings
from training.federation.centre_sums import NODE_KEYS
from training.federation.server_app import CENTRE
from training.federation.trainer import TrainerSettings

ROOT = K8S.parent
_OURS = ("/etc/hearth", "/var/lib/hearth", "/var/cache/hearth", "/run/hearth", "/data")
_PATH = re.compile(r"(?:/etc/hearth|/var/lib/hearth|/var/cache/hearth|/run/hearth)[\w./-]*|^/data\b")
# Variables that are not ours, by who reads them: what their name stands in is looked up.
_READ_BY = {"FLWR_": "flwr", "AWS_": "botocore", "HF_": "huggingface_hub", "MPLCONFIGDIR": "matplotlib"}
_OF_PYTHON = {"HOME", "PYTHONUNBUFFERED"}
# Their modules and parsers: the packages have functions of the modules' names.
_SUPERNODE = ("flwr.supernode.cli.flower_supernode", "_parse_args_run_supernode")
_SUPEREXEC = ("flwr.supercore.cli.flower_superexec", "_parse_args")
_FLOWER = {
    "flower-superlink": ("flwr.superlink.cli.flower_superlink", "_parse_args_run_superlink"),
    "flower-supernode": _SUPERNODE,
    "flower-superexec": _SUPEREXEC,
    # Flower's, but for how often they look and how they start a ClientApp.
    "hearth.federation.supernode": _SUPERNODE,
    "hearth.federation.superexec": _SUPEREXEC,
}


def test_the_settings_of_every_server_are_settings_of_the_server_and_its_port_is_the_containers() -> None:
    for container in named("serving"):
        config = ServingConfig.model_validate(serving_settings(container))
        assert config.host == "0.0.0.0", container.where  # noqa: S104 - a pod is reached from outside of it
        assert config.port == container.port("http"), container.where
        assert config.api_keys is not None, container.where
        assert not config.open_to_all, container.where


def test_the_settings_of_every_trainer_are_settings_of_the_trainer_and_the_supernode_finds_its_socket() -> None:
    trainers = {(each.overlay, each.pods.subject): each for each in named("trainer")}
    for container in trainers.values():
        settings = TrainerSettings.model_validate_json(container.settings(container.words[-1]))
        assert settings.redis is not None, container.where
        (supernode,) = [each for each in named("supernode", container.overlay) if each.pods == container.pods]
        assert supernode.after("--node-config") == f'trainer="{settings.socket}"', container.where
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container.spec[probe]["exec"]["command"][-1] == str(settings.socket), container.where


def test_a_server_and_the_trainer_of_its_cell_read_the_same_people_and_the_same_registry() -> None:
    for container in named("serving"):
        ending = container.pods.subject.removeprefix("Deployment/serving")
        (trainer,) = [each for each in named("trainer", container.overlay) if each.pods.subject.endswith(f"e{ending}")]
        theirs = json.loads(trainer.settings(trainer.words[-1]))
        ours = serving_settings(container)
        for key in ("redis", "store_keys", "registry", "trusted_keys"):
            assert ours[key] == theirs[key], (container.where, key)
        assert ServingConfig.model_validate(ours).redis.place.endswith(f"//redis{ending}:6379")  # type: ignore[union-attr]
        for volume in ("store-keys", "redis-access"):
            assert container.volume(volume) == trainer.volume(volume), (container.where, volume)


@pytest.mark.parametrize("cell", ["cell-1", "cell-2", "cell-3"])
@pytest.mark.parametrize("file", ["serving.json", "trainer.json"])
def test_a_cell_of_the_dev_overlay_differs_from_the_base_by_its_name_alone(cell: str, file: str) -> None:
    base = (K8S / "base" / "edge-cell" / file).read_text()
    ours = (K8S / "overlays" / "dev" / cell / file).read_text()
    assert ours.replace(f"//redis-{cell}:", "//redis:").replace(f'"{cell}"', '"cell"') == base


def test_every_variable_is_one_that_somebody_reads() -> None:
    read_here = {
        value for name, value in vars(environment).items() if name.isupper() and str(value).startswith("HEARTH_")
    }
    for name in {each["name"] for container in containers() for each in container.spec.get("env", ())}:
        if name.startswith("HEARTH_"):
            assert name in {*read_here, CENTRE}, name
        elif name not in _OF_PYTHON:
            (reader,) = [reader for start, reader in _READ_BY.items() if name.startswith(start)]
            assert _stands_in(reader, name), f"{reader} does not read {name}"


def test_the_server_app_has_the_folder_of_requests_that_the_schedule_writes_to() -> None:
    for overlay in ("dev", "centre", "gpu"):
        (server_app,) = [each for each in named("superexec", overlay) if each.pods.subject == "Deployment/server-app"]
        (retrain,) = named("retrain", overlay)
        assert server_app.variable(CENTRE) == retrain.after("--centre")
        for path in (retrain.after("--centre"), retrain.after("--signing-key")):
            assert _mount(server_app, path) is not None, (overlay, path)
        assert server_app.volume("centre") == retrain.volume("centre")
        assert server_app.volume("signing-key") == retrain.volume("signing-key")


def test_cells_add_up_under_masks_by_the_keys_that_the_centre_lets_in() -> None:
    for trainer in named("trainer"):
        settings = TrainerSettings.model_validate_json(trainer.settings(trainer.words[-1]))
        assert settings.secure, trainer.where
        (supernode,) = [each for each in named("supernode", trainer.overlay) if each.pods == trainer.pods]
        assert str(settings.node_key) == supernode.after("--auth-supernode-private-key"), trainer.where
        for file, volume in ((settings.node_key, "node-key"), (settings.pinned, "pinned-nodes")):
            mount = _mount(trainer, str(file))
            assert mount is not None, trainer.where
            assert mount["name"] == volume, trainer.where
    for server_app in [
        each for overlay in ("dev", "centre", "gpu") for each in _of(overlay, "server-app", "superexec")
    ]:
        mount = _mount(server_app, f"{server_app.variable(CENTRE)}/{NODE_KEYS}")
        assert mount is not None, server_app.where
        assert server_app.volume(mount["name"])["secret"]["secretName"] == "admitted-nodes"
        assert mount["mountPath"].endswith(f"/{NODE_KEYS}")


def test_the_cells_of_the_dev_overlay_are_those_whose_keys_its_job_makes() -> None:
    names = {json.loads(trainer.settings(trainer.words[-1]))["name"] for trainer in named("trainer", "dev")}
    (job,) = named("first-secrets", "dev")
    made = {word for option, word in itertools.pairwise(job.words) if option == "--cell"}
    assert made == names == {f"cell-{number}" for number in (1, 2, 3)}
    for trainer in named("trainer", "dev"):
        assert trainer.pods.labels["hearth-cell"] == json.loads(trainer.settings(trainer.words[-1]))["name"]


def test_the_settings_of_the_schedule_are_settings_of_a_retraining(tmp_path: Path) -> None:
    for retrain in named("retrain"):
        file = tmp_path / "retrain.toml"
        file.write_text(retrain.settings(retrain.after("--config")))
        settings = read_retraining_settings(file, {})
        assert settings.cells is not None, retrain.where  # nothing else says how many to wait for
        if settings.items is not None:
            for container in (retrain, *_of(retrain.overlay, "server-app", "superexec")):
                mount = _mount(container, str(settings.items))
                assert mount is not None, container.where
                assert settings.items.name in container.files(mount["name"]), container.where


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_file_that_a_command_or_its_settings_name_lies_on_a_volume_that_has_it(
    overlay: str, tmp_path: Path
) -> None:
    keys = _made_secrets(tmp_path)
    seen = 0
    for container in containers(overlay):
        texts = [*container.words, *(each.get("value", "") for each in container.spec.get("env", ()))]
        texts += [container.settings(word) for word in container.words if word.startswith("/etc/hearth/settings/")]
        for path in {path for text in texts for path in _PATH.findall(text)}:
            mount = _mount(container, path)
            assert mount is not None, f"{container.where}: nothing is mounted for {path}"
            secret = container.volume(mount["name"]).get("secret")
            if secret is not None and path != mount["mountPath"]:
                file = path.removeprefix(f"{mount['mountPath']}/")
                shown = {each["path"]: each["key"] for each in secret.get("items", ())}
                assert not shown or file in shown, f"{container.where}: {path} is not among the items of its volume"
                name = re.sub(r"-cell-\d$", "", secret["secretName"])
                assert shown.get(file, file) in keys[name], f"{container.where}: nobody makes {path}"
                seen += 1
    assert seen >= 4


def test_every_secret_is_readable_by_the_group_of_the_pod_and_by_nobody_else() -> None:
    for container in containers():
        for volume in container.pods.spec.get("volumes", ()):
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, (container.where, volume["name"])
                assert container.pods.spec["securityContext"]["fsGroup"] == 10001, container.where


def parsed(arguments: list[str]) -> str:
    """The name of the command that these are the arguments of; raises what the parser of the command line does."""
    command: Any = typer.main.get_command(hearth.cli.app)
    context, name = command.make_context("hearth", [*arguments]), ""
    while hasattr(command, "commands"):
        name, command, arguments = command.resolve_command(context, arguments)
        context = command.make_context(name, [*arguments], parent=context)
    return name


@pytest.mark.parametrize("page", ["kubernetes", "operations", "retraining", "runbooks"])
def test_every_command_of_hearth_in_the_pages_for_operators_parses(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^ {4,}(hearth .*)$", text, re.MULTILINE)
    # In a sentence it may stand without what else it needs, unless it says some of it.
    lines += [line for line in re.findall(r"`(hearth [^`]*)`", text) if " --" in line]
    for line in lines:
        assert parsed(shlex.split(line.rstrip("'"), comments=True)[1:]), line


def test_every_command_of_hearth_parses() -> None:
    seen = {parsed(each.program[1:]) for each in containers() if each.program[0] == "hearth"}
    assert seen == {"retrain", "train", "admit", "pod-keys", "first-secrets"}


def test_every_command_of_flower_parses_and_goes_over_tls() -> None:
    seen = set()
    for container in containers():
        program, *words = container.words[2:] if container.words[:2] == ["python", "-m"] else container.words
        if program in _FLOWER:
            module, parser = _FLOWER[program]
            options = getattr(importlib.import_module(module), parser)().parse_args(words)
            assert not options.insecure, container.where
            seen.add(program)
    assert seen == _FLOWER.keys()


def test_every_module_that_is_run_is_there() -> None:
    probes = [
        container.spec[probe]["exec"]["command"]
        for container in containers()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if "exec" in container.spec.get(probe, {})
    ]
    commands = [command for command in [*(each.words for each in containers()), *probes] if command[0] == "python"]
    assert {command[2] for command in commands} == {
        "hearth.federation.superexec",
        "hearth.federation.supernode",
        "serving",
        "training.federation.trainer",
        "training.federation.trainer_socket",
    }
    for command in commands:
        assert importlib.util.find_spec(command[2]) is not None


def test_http_probes_ask_for_endpoints_that_need_no_key() -> None:
    paths = description()["paths"]
    asked = {
        (probe, container.spec[probe]["httpGet"]["path"])
        for container in containers()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if "httpGet" in container.spec.get(probe, {})
    }
    assert asked == {("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")}
    for _, path in asked:
        assert paths[path]["get"]["security"] == [], path


def test_grpc_probes_ask_where_the_program_answers_them() -> None:
    seen = 0
    for container in containers():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "grpc" in container.spec.get(probe, {}):
                address = container.after("--health-server-address")
                assert address == f"0.0.0.0:{container.spec[probe]['grpc']['port']}", container.where
                seen += 1
    assert seen > 10


def test_the_superlink_is_dialled_at_the_port_on_which_it_listens() -> None:
    for overlay in ("dev", "centre", "gpu"):
        (superlink,) = named("superlink", overlay)
        port = superlink.after("--port")
        assert int(port) == superlink.port("superlink")
        (admission,) = named("admission", overlay)
        assert admission.after("--superlink") == f"127.0.0.1:{port}"
        dialled = [each.after("--superlink") for each in [*containers(overlay)] if "--superlink" in each.words]
        dialled += [each.after("--runtime-api-address") for each in _of(overlay, "server-app", "superexec")]
        assert {address for address in dialled if address != admission.after("--superlink")} == {f"superlink:{port}"}
        service = rendered(overlay).named("Service", superlink.pods.namespace, "superlink")
        assert service is not None
        assert [each["port"] for each in service["spec"]["ports"]] == [int(port)]


def test_a_superexec_asks_the_supernode_of_its_own_pod_which_nobody_else_reaches() -> None:
    for supernode in named("supernode"):
        (superexec,) = [
            each for each in named("superexec", supernode.overlay) if each.pods.subject == supernode.pods.subject
        ]
        assert superexec.after("--runtime-api-address") == f"127.0.0.1:{supernode.after('--port')}"
        assert supernode.after("--host") == "127.0.0.1"
        for option in ("--superexec-auth-secret-file",):
            assert superexec.after(option) == supernode.after(option)
        assert superexec.after("--root-certificates") == supernode.after("--ssl-ca-certfile")


def test_the_supernode_of_a_cell_elsewhere_differs_from_that_of_dev_by_whom_it_dials_and_how_often_it_looks() -> None:
    (elsewhere,), here = named("supernode", "edge-cell"), named("supernode", "dev")[0]
    assert elsewhere.words[:3] == ["flower-supernode", "--superlink", "federation.example.org:443"]
    assert here.words[:5] == ["python", "-m", "hearth.federation.supernode", "--superlink", "superlink:9092"]
    assert elsewhere.words[3:] == here.words[5:]


def test_a_server_has_time_to_leave_its_service_and_to_answer_all_before_it_is_killed() -> None:
    for container in named("serving"):
        config = ServingConfig.model_validate(serving_settings(container))
        first = container.spec["lifecycle"]["preStop"]["sleep"]["seconds"]
        last_traces = 5
        assert container.pods.spec["terminationGracePeriodSeconds"] > first + config.drain_seconds + last_traces
        assert config.drain_seconds > config.body_seconds + config.store_timeout_seconds
        assert first >= 5


def test_redis_stays_below_half_of_its_memory_limit_as_it_may_need_as_much_again_to_write_its_file() -> None:
    units = {"mb": 1 << 20, "gb": 1 << 30}
    for container in named("redis"):
        most = container.after("--maxmemory")
        held = int(most[:-2]) * units[most[-2:]]
        assert 2 * held <= quantity(container.spec["resources"]["limits"]["memory"]), container.where


def test_redis_speaks_tls_where_the_settings_of_its_clients_say_so_and_only_there() -> None:
    for container in named("redis"):
        ending = container.pods.subject.removeprefix("StatefulSet/redis")
        (serving,) = [
            each for each in named("serving", container.overlay) if each.pods.subject.endswith(f"serving{ending}")
        ]
        redis = ServingConfig.model_validate(serving_settings(serving)).redis
        assert redis is not None
        assert (redis.scheme == "rediss") == ("--tls-port" in container.words), container.where
        if redis.scheme == "rediss":
            assert container.after("--port") == "0"
            assert int(container.after("--tls-port")) == redis.port == container.port("redis")
        else:
            assert f"port {redis.port}" in container.settings("/etc/hearth/redis/redis.conf").splitlines()


def test_a_redis_that_speaks_tls_is_asked_in_tls_by_all_probes_and_is_alive_while_it_reads_its_file() -> None:
    (container,) = named("redis", "edge-cell")
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container.spec[name].keys() & {"tcpSocket", "exec"} == {"exec"}, name
        shell, option, script = container.spec[name]["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
        words = shlex.split(re.sub(r'.*\$\((.*)\)".*', r"\1", script))
        assert words[:2] == ["redis-cli", "--tls"], name
        assert _mount(container, words[words.index("--cacert") + 1]) is not None, name
        assert script.endswith('" = PONG') is (name == "readinessProbe"), name  # elsewhere LOADING is an answer too


def test_images_have_the_version_of_the_project() -> None:
    version = importlib.metadata.version("hearth-recommender")
    for container in containers():
        name, _, tag = container.spec["image"].partition(":")
        if name.startswith("hearth-"):
            assert tag in {version, f"{version}-gpu"}, container.where


def test_the_home_that_an_image_gives_is_a_volume_that_may_be_written_to() -> None:
    for container in containers():
        name = container.spec["image"].partition(":")[0].removeprefix("hearth-")
        if name in {"serving", "training"} and container.spec["name"] != "pod-keys":  # which makes keys, and ends
            (home,) = set(re.findall(r"\bHOME=(\S+)", (ROOT / "images" / f"{name}.Dockerfile").read_text()))
            assert home in {each["mountPath"] for each in container.spec["volumeMounts"] if not each.get("readOnly")}, (
                container.where
            )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_by_itself_needs_nothing_that_kubernetes_has_not(overlay: str) -> None:
    groups = {each["apiVersion"].rpartition("/")[0] for each in rendered(overlay)}
    assert groups <= {"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"}


def test_the_dev_overlay_fits_a_small_machine_of_any_kind_and_leaves_its_schedule_to_you() -> None:
    """docs/kubernetes.md says how much it asks for; each pod counts once, with all that an autoscaler may add."""
    asked = {"cpu": Decimal(0), "memory": Decimal(0)}
    for pods in pods_of(rendered("dev")):
        assert not pods.spec.keys() & {"nodeSelector", "tolerations"}, pods.subject
        for resource in asked:
            asked[resource] += sum(
                quantity(each["resources"]["requests"][resource]) for each in pods.spec["containers"]
            )
    assert asked["cpu"] < 1
    assert asked["memory"] < 4 * 2**30
    assert {each["spec"]["maxReplicas"] for each in rendered("dev").of_kind("HorizontalPodAutoscaler")} == {1}
    claims = [each["spec"] for each in rendered("dev").of_kind("PersistentVolumeClaim")]
    for thing in rendered("dev").of_kind("StatefulSet"):
        claims += [each["spec"] for each in thing["spec"]["volumeClaimTemplates"]]
    assert len(claims) == 9
    assert all(each["accessModes"] == ["ReadWriteOnce"] and "storageClassName" not in each for each in claims)
    assert [each["spec"]["suspend"] for each in rendered("dev").of_kind("CronJob")] == [True]


def test_the_job_that_all_of_dev_waits_for_is_not_given_up() -> None:
    (job,) = rendered("dev").of_kind("Job")
    assert "activeDeadlineSeconds" not in job["spec"]  # it would count while an image is on its way
    assert job["spec"]["backoffLimit"] >= 1000


def test_a_centre_starts_before_it_has_a_cell() -> None:
    for overlay in ("centre", "gpu"):
        for container in (*named("admission", overlay), *_of(overlay, "server-app", "superexec")):
            assert container.volume("admitted-nodes")["secret"]["optional"] is True, container.where


def test_the_gpu_overlay_gives_the_server_app_a_gpu_and_lets_the_schedule_share_its_node() -> None:
    (server_app,) = _of("gpu", "server-app", "superexec")
    assert server_app.spec["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert server_app.spec["image"].endswith("-gpu")
    (retrain,) = named("retrain", "gpu")
    assert server_app.pods.spec["tolerations"] == retrain.pods.spec["tolerations"]
    affinity = retrain.pods.spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity[0]["labelSelector"]["matchLabels"].items() <= server_app.pods.labels.items()


def _of(overlay: str, owner: str, container: str) -> list[Container]:
    return [each for each in named(container, overlay) if each.pods.owner["metadata"]["name"] == owner]


def _mount(container: Container, path: str) -> dict[str, Any] | None:
    """The mount that a path lies on: the longest that it begins with."""
    mounts = [
        each
        for each in container.spec.get("volumeMounts", ())
        if path == each["mountPath"] or path.startswith(f"{each['mountPath']}/")
    ]
    return max(mounts, key=lambda each: len(each["mountPath"]), default=None)


def _made_secrets(folder: Path) -> dict[str, set[str]]:
    """The keys of the secrets that `hearth kubernetes` makes, by name, and of the one that an operator brings."""
    make_centre(folder, ["superlink"])
    nodes = {"cell-1": make_cell(folder)}
    name_nodes(folder, "admitted-nodes", nodes)
    name_nodes(folder, "pinned-nodes", nodes)
    make_redis_tls(folder, ["redis"])
    made = {secret.name: {file.name for file in secret.iterdir()} for secret in folder.iterdir()}
    return {**made, "registry-s3": {"credentials"}}


def _stands_in(package: str, text: str) -> bool:
    found = importlib.util.find_spec(package)
    assert found is not None, package
    assert found.submodule_search_locations, package
    wanted = text.removeprefix("AWS_").lower() if package == "botocore" else text
    folder = Path(found.submodule_search_locations[0])
    return any(
        text in content or (package == "botocore" and f"'{wanted}'" in content)
        for content in (file.read_text(errors="replace") for file in folder.rglob("*.py"))
    )
