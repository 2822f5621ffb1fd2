"""An image installs what the project's tests ran with, and only what it is for."""

import re
from pathlib import Path

import pytest

from images.sbom import Pin, bill, pins

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "images").glob("requirements-*.lock"))
_PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", re.MULTILINE)
# CUDA for GPU nodes: the project's own lock installs none of it
_GPU = re.compile(r"nvidia-[a-z0-9-]+")


def project_pins() -> dict[str, set[str]]:
    """Name → versions: more than one where Python versions differ."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall((ROOT / "requirements.lock").read_text()):
        found.setdefault(name, set()).add(version)
    return found


def names(image: str) -> set[str]:
    return {pin.name for pin in pins((ROOT / "images" / f"requirements-{image}.lock").read_text())}


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
def test_every_pin_of_an_image_is_that_of_the_project(file: Path) -> None:
    project = project_pins()
    listed = pins(file.read_text())
    assert listed
    others = [pin.name for pin in listed if pin.version not in project.get(pin.name, ())]
    assert [name for name in others if not ("gpu" in file.stem and _GPU.fullmatch(name))] == []


def test_the_image_of_a_server_has_no_framework_and_no_tool_of_development() -> None:
    assert names("serving").isdisjoint({"tensorflow", "flwr", "keras", "pytest", "mypy", "ruff", "pip"})
    assert {"fastapi", "uvicorn", "redis", "numba", "s3fs"} <= names("serving")


def test_the_image_of_training_has_what_a_server_has_and_a_gpu_variant_only_adds_cuda() -> None:
    assert names("serving") - names("training") == set()
    assert {"tensorflow", "flwr"} <= names("training")
    assert all(_GPU.fullmatch(name) for name in names("training-gpu") - names("training"))
    assert names("training") <= names("training-gpu")
    assert "nvidia-cudnn-cu12" in names("training-gpu")


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
def test_a_bill_names_every_package_with_its_hashes_and_what_needs_it(file: Path) -> None:
    listed = pins(file.read_text())
    told = bill("image", "hearth-recommender", "1.2.3", listed)
    assert told == bill("image", "hearth-recommender", "1.2.3", listed)
    assert {(each["name"], each["version"]) for each in told["components"]} == {
        (each.name, each.version) for each in listed
    }
    text = file.read_text()
    hashes = [each["hashes"][0]["content"] for one in told["components"] for each in one["externalReferences"]]
    assert sorted(hashes) == sorted(re.findall(r"sha256:([0-9a-f]{64})", text))
    # everything is reached from the image, and nothing is named that is not there
    needs = {each["ref"]: each["dependsOn"] for each in told["dependencies"]}
    reached, further = set(), {"image"}
    while further:
        reached |= further
        further = {other for ref in further for other in needs[ref]} - reached
    assert reached == {"image", *(each["bom-ref"] for each in told["components"])}


def test_needs_are_read_from_what_uv_writes_of_them() -> None:
    lock = (
        "inner==2 \\\n    --hash=sha256:" + "a" * 64 + "\n    # via outer\n"
        "outer==1 \\\n    --hash=sha256:" + "b" * 64 + " \\\n    --hash=sha256:" + "c" * 64 + "\n"
        "    # via\n    #   -c ../requirements.lock\n    #   ours (../pyproject.toml)\n"
    )
    assert pins(lock) == [
        Pin("inner", "2", ("a" * 64,), ("outer",)),
        Pin("outer", "1", ("b" * 64, "c" * 64), ("ours",)),
    ]
    told = bill("image", "ours", "1", pins(lock))
    assert {"ref": "image", "dependsOn": ["pkg:pypi/outer@1"]} in told["dependencies"]
    assert {"ref": "pkg:pypi/outer@1", "dependsOn": ["pkg:pypi/inner@2"]} in told["dependencies"]


@pytest.mark.parametrize("lock", ["", "# nothing\n", "bare==1\n"])
def test_a_lock_file_without_hashes_has_no_bill(lock: str) -> None:
    with pytest.raises(ValueError, match=r"no package|without a hash: bare"):
        pins(lock)
