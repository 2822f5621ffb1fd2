"""The worked example, run as a reader would run it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "federated_classification.py"
PATIENCE = 300.0  # seconds; ten seconds on an idle machine
ARTICLE = 0.9467  # test accuracy on MNIST of the article whose example this is


def run(*arguments: str, data: str | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "HEARTH_DATA"}
    if data:
        environment["HEARTH_DATA"] = data
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def figures(*arguments: str, data: str | None = None) -> Any:
    ended = run(*arguments, "--json", data=data)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_ten_devices_learn_to_read_small_digits_nearly_as_well_as_one_place_would() -> None:
    shown = figures()
    assert shown["settings"]["data"] == "digits"
    assert len(shown["federated"]) == len(shown["centralised"]) == 10
    assert shown["federated"][-1] > 0.96
    assert shown["centralised"][-1] > 0.97
    assert shown["federated"][0] < shown["federated"][-1]
    assert shown["held_out"] == 367


def test_a_table_is_printed_for_people_and_mixing_slows_the_change() -> None:
    ended = run("--rounds", "1", "--mixing", "0.9", "--epochs", "1")
    assert ended.returncode == 0, ended.stderr
    title, names, line = ended.stdout.splitlines()
    assert title == "digits: 10 devices with 143 digits each, 367 held out"
    assert names.split() == ["round", "federated", "centralised"]
    number, federated, centralised = line.split()
    assert number == "1"
    assert float(federated.rstrip("%")) < float(centralised.rstrip("%")) - 20


def test_digits_that_are_not_there_are_said_to_be_missing() -> None:
    ended = run("--data", "mnist_10k", data="/nowhere")
    assert ended.returncode == 1
    assert ended.stderr == (
        "/nowhere/mnist_10k/mnist_10k.npz is not there; HEARTH_DATA names the folder that has mnist_10k/\n"
    )


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Its module: what ends before a training is asked of it here, as TensorFlow takes seconds to load."""
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("option", "value", "status", "said"),
    [
        ("--devices", "0", 2, "argument --devices: is from 1 to 1e+06; got 0"),
        ("--rounds", "0", 2, "argument --rounds: is from 1"),
        ("--rate", "nan", 2, "argument --rate: is from 1e-06 to 1e+12; got nan"),
        ("--mixing", "1", 2, "argument --mixing: is from 0 to 0.999; got 1"),
        ("--seed", "-1", 2, "argument --seed: is from 0"),
        ("--batch", "many", 2, "argument --batch: invalid number value: 'many'"),
        ("--devices", "2000", 1, "2000 devices cannot share 1430 digits: each needs 1"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    example: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), option, value, "--json"])
    monkeypatch.delenv("HEARTH_DATA", raising=False)
    with pytest.raises(SystemExit) as ended:
        example.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    if status == 1:
        assert ended.value.code == said  # which Python prints, and ends with status 1
    else:
        assert ended.value.code == status
        assert said in printed.err.splitlines()[-1]


def test_steps_so_long_that_numbers_overflow_end_in_a_line() -> None:
    ended = run("--rate", "1e12", "--json")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "not finite; try a lower learning rate" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="needs mnist_10k of HEARTH_DATA")
def test_on_mnist_the_article_is_beaten_within_ten_rounds() -> None:
    shown = figures(data=os.environ["HEARTH_DATA"])
    assert shown["settings"]["data"] == "mnist_10k"
    assert shown["held_out"] == 2000
    assert len(shown["federated"]) == 10
    assert shown["federated"][-1] > ARTICLE
