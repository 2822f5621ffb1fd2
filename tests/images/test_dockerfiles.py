"""A Dockerfile copies what there is to copy, takes its base as an argument and ends as nobody special."""

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.k8s.manifests import containers, named

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "images").glob("*.Dockerfile"))
with (ROOT / "pyproject.toml").open("rb") as _file:
    _PROJECT = tomllib.load(_file)


def instructions(file: Path) -> list[tuple[str, str]]:
    """Each with its name, lines joined and comments left out."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def copied(file: Path) -> list[str]:
    """What it takes from the checkout."""
    listed = instructions(file)
    arguments = dict(rest.split("=", 1) for name, rest in listed if name == "ARG" and "=" in rest)
    paths = [path for name, rest in listed if name == "COPY" and "--from" not in rest for path in rest.split()[:-1]]
    return [re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], path) for path in paths]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_what_is_copied_is_there_and_not_kept_out(file: Path) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore
    for path in copied(file):
        name = path.rstrip("/")
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in let_in), name


@pytest.mark.parametrize("image", ["serving", "training"])
def test_every_package_of_the_wheel_is_copied(image: str) -> None:
    folders = {name.partition(".")[0] for name in _PROJECT["tool"]["setuptools"]["packages"]}
    assert folders <= {name.rstrip("/") for name in copied(ROOT / "images" / f"{image}.Dockerfile")}


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_an_image_has_a_base_to_pin_hashes_to_hold_and_no_root(file: Path) -> None:
    listed = instructions(file)
    bases = [rest.split()[0] for name, rest in listed if name == "FROM"]
    assert bases == ["${BASE}", "${BASE}"]
    assert listed[0] == ("ARG", "BASE=python:3.11-slim")
    last = listed[[index for index, (name, _) in enumerate(listed) if name == "FROM"][-1] :]
    assert [rest for name, rest in last if name == "USER"] == ["10001:10001"]
    assert any(name == "HEALTHCHECK" for name, _ in last)
    assert not any("pip" in rest for name, rest in last if name == "RUN")
    for rest in (rest for name, rest in listed if name == "RUN"):
        for install in re.findall(r"pip (?:--python \S+ )?install [^&]*", rest):
            # from the index only with hashes; else only the wheel that was built a line before
            assert "--require-hashes --only-binary :all:" in install or "--no-deps --no-index" in install
    labels = " ".join(rest for name, rest in last if name == "LABEL")
    assert all(f"org.opencontainers.image.{label}=" in labels for label in ("title", "version", "revision"))
    assert "<<" not in file.read_text()  # buildah before 1.33 knows no heredocs


def test_a_server_in_the_image_is_started_by_a_command_that_there_is() -> None:
    commands = [rest for name, rest in instructions(ROOT / "images" / "serving.Dockerfile") if name == "CMD"]
    assert commands == ['["python", "-m", "serving", "/etc/hearth/serving.json"]']
    assert (ROOT / "serving" / "__main__.py").exists()


@pytest.mark.parametrize(("variable", "value"), [("IMAGES", "srving"), ("BUILDER", "nix")])
def test_the_build_refuses_what_it_does_not_know(variable: str, value: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "BUILDER": "podman", "IMAGES": "serving", variable: value}
    done = subprocess.run(
        [ROOT / "images" / "build.sh"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert value in done.stderr


def test_images_carry_the_version_of_the_project_and_the_base_that_is_asked_for() -> None:
    environment = {"PATH": "/usr/bin:/bin", "BUILDER": "show", "IMAGES": "serving training-gpu"}
    command = [ROOT / "images" / "build.sh", "--build-arg", "BASE=python@sha256:1"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True).stdout
    version = _PROJECT["project"]["version"]
    place = "docker.io/library"
    assert f"--tag {place}/hearth-serving:{version} --build-arg VERSION={version}" in told
    assert f"--tag {place}/hearth-training:{version}-gpu --build-arg LOCK=requirements-training-gpu.lock" in told
    assert told.count("--build-arg BASE=python@sha256:1 .") == 2


def test_every_image_that_a_manifest_names_is_built_under_the_name_by_which_a_node_looks_for_it() -> None:
    """A node takes a name without a host for one of docker.io/library, as containerd does."""
    environment = {"PATH": "/usr/bin:/bin", "BUILDER": "show", "IMAGES": "serving training redis training-gpu"}
    told = subprocess.run(
        [ROOT / "images" / "build.sh"], env=environment, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    built = set(re.findall(r"--tag (\S+)", told))
    ours = {container.spec["image"] for container in containers()}
    others = {image for image in ours if not image.startswith("hearth-")}
    assert {f"docker.io/library/{image}" for image in ours - others} == built
    assert others == {container.spec["image"] for container in named("redis", "edge-cell")}
    assert {container.spec["imagePullPolicy"] for container in containers()} == {"IfNotPresent"}
