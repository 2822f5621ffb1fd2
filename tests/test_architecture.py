"""What the architecture promises, held against the running program and the files that are tracked."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("feature_store", "training", "serving", "hearth", "benchmarks")
FRAMEWORKS = ("tensorflow", "tf_keras", "keras", "tensorflow_recommenders")

# part: what none of its modules may load, directly or through others
FORBIDDEN = {
    "feature_store": ("training", "serving", "hearth", "benchmarks", *FRAMEWORKS, "fastapi", "starlette"),
    "serving": ("training", "hearth", "benchmarks", *FRAMEWORKS),
    "training": ("serving", "hearth", "benchmarks", "fastapi", "starlette"),
    "benchmarks": ("hearth",),
}
# Of package registries, in two pieces so that this file does not name any.
REGISTRY_HOSTS = (
    ("pypi", r"\.org"),
    ("python", r"hosted\.org"),
    ("npm", r"js\.org"),
    ("regis", r"try\.npmjs"),
    ("conda", r"\.anaconda"),
    ("crates", r"\.io"),
    ("proxy", r"\.golang"),
    ("art", r"ifactory"),
    ("dev", r"pi[:./]"),
    ("nex", r"us\."),
    ("index", r"-url\s*[=:]?\s*http"),
)


def modules_of(part: str) -> list[str]:
    """All modules of a part, but for those that run something when imported."""
    files = sorted((ROOT / part).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if not name.endswith("__main__")]


@pytest.mark.parametrize(
    "part",
    # TensorFlow takes seconds to load, and import-linter holds these two contracts in every check
    [pytest.param(part, marks=pytest.mark.slow if part in {"training", "benchmarks"} else ()) for part in FORBIDDEN],
)
def test_a_part_loads_nothing_that_its_contract_forbids(part: str) -> None:
    modules = modules_of(part)
    assert len(modules) > 2
    program = f"import {', '.join(modules)}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=120)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert part in loaded
    assert loaded.isdisjoint(FORBIDDEN[part])


def test_every_package_folder_is_installed() -> None:
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts) for part in PARTS for file in (ROOT / part).rglob("__init__.py")
    }
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert set(project["tool"]["setuptools"]["packages"]) == folders
    assert set(project["tool"]["mypy"]["packages"]) == set(PARTS)
    assert set(project["tool"]["importlinter"]["root_packages"]) == set(PARTS)


def test_every_folder_with_modules_is_a_package_and_no_folder_of_tests_is() -> None:
    for part in PARTS:
        folders = {file.parent for file in (ROOT / part).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout: nothing says which files are tracked")
def test_no_tracked_file_names_the_host_of_a_package_registry() -> None:
    pattern = re.compile("|".join(rf"\b{first}{rest}" for first, rest in REGISTRY_HOSTS), re.IGNORECASE)
    assert pattern.search("https://files.python" + "hosted.org/simple")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert Path(__file__) in files
    found = ((file, pattern.search(file.read_text(errors="replace"))) for file in files)
    assert [f"{file}: {match[0]}" for file, match in found if match] == []
