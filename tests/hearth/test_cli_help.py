"""Help: every command has an example that the command line accepts; what needs no TensorFlow does not load it."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

import hearth.cli
from tests.hearth.command import PATIENCE
from tests.hearth.conftest import Trained

FOREIGN = re.compile(r"\| +(tensorflow|tf_keras|keras|tensorflow_recommenders|numba|llvmlite)\b")


def commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The command and all below it, with their names."""
    yield name, command
    if isinstance(command, TyperGroup):
        for sub_name, sub_command in command.commands.items():
            yield from commands(sub_command, (*name, sub_name))


ALL = dict(commands(typer.main.get_command(hearth.cli.app)))


def test_these_are_the_commands() -> None:
    assert {" ".join(name) for name, command in ALL.items() if not isinstance(command, TyperGroup)} == {
        "demo",
        "data fetch ml-100k",
        "train",
        "tune",
        "evaluate",
        "models list",
        "models show",
        "models promote",
        "models roll-back",
        "models audit",
        "models collect",
        "models copy",
        "models bundle",
        "models verify-bundle",
        "federation up",
        "federation run",
        "federation status",
        "federation down",
        "federation admit",
        "kubernetes centre-secrets",
        "kubernetes cell-secrets",
        "kubernetes pod-keys",
        "kubernetes first-secrets",
        "retrain",
        "people export",
        "people erase",
        "people forget",
        "people new-key",
        "people rotate",
        "people import-ties",
        "keys show",
        "keys new-api-key",
        "placements check",
        "items import",
        "items show",
        "items count",
        "items remove",
        "ads calibrate",
        "serve",
        "openapi",
        "bench ads",
        "bench poisoning",
        "bench privacy",
        "bench quality",
        "bench cold-items",
        "bench communication",
        "bench context",
        "bench new-users",
        "bench verticals",
        "bench leave-one-out",
        "bench tables",
        "bench retrieval",
        "bench scale",
        "bench serving",
        "bench simulation",
        "bench federation",
        "bench fold-in",
        "bench social",
        "bench store",
        "bench noise",
        "bench secure-aggregation",
        "bench swap",
    }


@pytest.mark.parametrize("name", ALL, ids=" ".join)
def test_every_command_has_an_example_that_it_would_accept(name: tuple[str, ...]) -> None:
    command = ALL[name]
    shown = command.help or ""
    (example,) = re.findall(r"Example: `(.+?)`", shown)
    words = shlex.split(example)
    assert words[: len(name) + 1] == ["hearth", *name]
    words = words[1:]
    given = ALL[()]
    while isinstance(given, TyperGroup):
        given = given.commands[words.pop(0)]
    given.make_context("hearth", words).close()


@pytest.mark.parametrize("option", ["--dim 0", "--rounds 0", "--cohort 0", "--seed -1", "--patience -1"])
def test_options_of_training_out_of_their_range_are_refused(option: str) -> None:
    train = ALL["train",]
    given = ["--interactions", "x", "--registry", "y"]
    train.make_context("train", given).close()
    with pytest.raises(typer.BadParameter, match=r"0 is not in the range|-1 is not in the range"):
        train.make_context("train", [*given, *option.split()])


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["models", "--help"]])
def test_help_shows_the_example(trained: Trained, arguments: list[str]) -> None:
    ended = trained.command.run(*arguments)
    assert ended.status == 0
    assert "Example: hearth " in ended.stdout
    assert ended.stderr == ""


def test_the_script_hearth_is_this_command() -> None:
    (script,) = entry_points(group="console_scripts", name="hearth")
    assert script.load() is hearth.cli.main


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list", "--json"], ["evaluate", "--json"]])
def test_what_needs_no_training_does_not_import_tensorflow(trained: Trained, arguments: list[str]) -> None:
    if "--json" in arguments:
        arguments = [*arguments, "--registry", str(trained.registry)]
    if "evaluate" in arguments:
        arguments += ["--split", str(trained.world)]
    ended = trained.command.run(*arguments, python=("-X", "importtime", "-m", "hearth"))
    assert ended.status == 0
    assert "hearth.cli" in ended.stderr
    assert FOREIGN.search(ended.stderr) is None


def test_a_server_does_not_import_tensorflow(trained: Trained, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-X", "importtime", "-m", "hearth", "serve", "--port", "0"]
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [*command, "--registry", str(trained.registry)],
            env=trained.command.environment,
            stdout=subprocess.PIPE,
            stderr=file,
        ) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"http://")
        maps = Path(f"/proc/{server.pid}/maps")
        assert not maps.exists() or "tensorflow" not in maps.read_text()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert "serving.routes" in log.read_text()
    assert {one[1] for one in FOREIGN.finditer(log.read_text())} == {"numba", "llvmlite"}  # of its compiled loops


def test_the_tests_above_would_find_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").touch()
    command = [sys.executable, "-X", "importtime", "-c", "import tensorflow"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert FOREIGN.search(done.stderr)
