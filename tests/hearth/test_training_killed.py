"""Training that is killed at any moment goes on to the very same checkpoint, and the registry is sound throughout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from feature_store.registry import Registry
from hearth.report.record import RECORD, read_record
from tests.hearth.command import PATIENCE, ROOT, Command
from tests.hearth.conftest import SETTINGS, Trained
from tests.hearth.world import small_world

KILLED = -signal.SIGKILL


def rounds_saved(registry: Path) -> int:
    """Rounds done, as the state file says; 0 where there is none."""
    file = registry / "training" / "state.safetensors"
    if not file.exists():
        return 0
    with safe_open(file, framework="numpy") as state:
        return int(state.metadata()["round_number"])


def interrupt(command: Command, arguments: tuple[str | Path, ...], registry: Path, rounds: int, number: int) -> int:
    """Run the command, send the signal once that many rounds are saved, and return how it ended: in silence."""
    with tempfile.TemporaryFile() as stderr, command.started(*arguments, stderr=stderr) as process:
        end = time.monotonic() + PATIENCE
        while rounds_saved(registry) < rounds and process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        os.killpg(process.pid, number)
        process.wait(PATIENCE)
        stderr.seek(0)
        assert b"Traceback" not in stderr.read()
        return process.returncode


def assert_sound(registry: Registry, *others: str) -> None:
    """Everything listed loads and verifies, and these are in production and before it."""
    published = registry.checkpoint_ids()
    for checkpoint_id in published:
        assert registry.load(checkpoint_id).manifest.checkpoint_id == checkpoint_id
    stages = registry.stages()
    assert {stages.production, *stages.previous} <= {None, *published}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_training_killed_again_and_again_ends_with_the_checkpoint_of_an_uninterrupted_one(
    trained: Trained, tmp_path: Path
) -> None:
    command, folder = trained.command, tmp_path / "registry"
    arguments = ("train", "--interactions", trained.world, "--registry", folder, *SETTINGS, "--promote", "--json")
    done = []
    for rounds, number in ((2, signal.SIGKILL), (8, signal.SIGINT), (14, signal.SIGKILL), (20, signal.SIGKILL)):
        status = interrupt(command, arguments, folder, rounds, number)
        assert status == (130 if number == signal.SIGINT else KILLED)
        done.append(rounds_saved(folder))
        assert done[-1] >= rounds
        assert command.registry(folder).checkpoint_ids() == []
    assert done == sorted(set(done))
    assert done[-1] <= 25

    other = command.run(*arguments, "--seed", "8", "--regularization", "0.5")
    error = other.error()
    assert f"holds round {done[-1]} of another run" in error
    assert "regularization 0.01 there and 0.5 here; seed 7 there and 8 here. Give the same settings" in error
    assert rounds_saved(folder) == done[-1]
    kept = shutil.copytree(folder, tmp_path / "kept")

    # The draft is whole, and about to become the checkpoint.
    killed = command.run("os.rename", "drafts", *arguments, python=("-m", "tests.hearth.killed_command"))
    assert killed.status == KILLED
    assert rounds_saved(folder) == 25
    assert len(list(folder.glob("drafts/*/manifest.json"))) == 1
    assert_sound(command.registry(folder))
    assert command.registry(folder).checkpoint_ids() == []

    # The checkpoint is there, and the state about to be removed.
    killed = command.run("os.remove", r"/state\.safe", *arguments, python=("-m", "tests.hearth.killed_command"))
    assert killed.status == KILLED
    assert command.registry(folder).checkpoint_ids() == [trained.checkpoint_id]
    assert_sound(command.registry(folder))
    assert command.registry(folder).stages().production is None

    outcome = command.run(*arguments).json()
    assert outcome["checkpoint_id"] == trained.checkpoint_id
    assert (outcome["resumed_at"], outcome["rounds"]) == (25, 25)
    assert outcome["valid"] == trained.ended.json()["valid"]
    assert command.registry(folder).production() == trained.checkpoint_id
    assert files_of(folder) == files_of(trained.registry)
    record = read_record(folder / "runs" / trained.checkpoint_id / RECORD)
    assert [x.round_number for x in record.rounds] == list(range(1, 26))
    whole = read_record(trained.registry / "runs" / trained.checkpoint_id / RECORD)
    assert [(x.loss, x.ndcg, x.recall) for x in record.rounds] == [(x.loss, x.ndcg, x.recall) for x in whole.rounds]

    afresh = ("--registry", kept, *SETTINGS, "--seed", "8", "--fresh", "--json")
    outcome = command.run("train", "--interactions", trained.world, *afresh).json()
    assert outcome["resumed_at"] == 0
    assert outcome["checkpoint_id"] != trained.checkpoint_id
    assert files_of(kept / "training") == {"lock"}


def test_stopped_at_any_state_of_its_files_a_session_goes_on_to_the_same_checkpoint(
    trained: Trained, tmp_path: Path
) -> None:
    world = small_world(tmp_path / "world", people=30, items=20, own=8, other=2)
    program = [sys.executable, "-m", "tests.hearth.stopped_session", str(world), str(trained.command.key)]
    done = subprocess.run(
        [*program, str(tmp_path)],
        cwd=ROOT,
        env=trained.command.environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )
    result = json.loads(done.stdout)
    whole: dict[str, Any] = result["whole"]
    assert whole["converged"]
    assert 3 <= whole["rounds"] < 30
    resumed_at = []
    for number, again in enumerate(result["again"]):
        stopped, resumed = tmp_path / f"stopped-{number}", tmp_path / f"resumed-{number}"
        assert_sound(trained.command.registry(stopped))
        assert trained.command.registry(resumed).checkpoint_ids() == [whole["checkpoint_id"]]
        assert {name: again[name] for name in SAME} == {name: whole[name] for name in SAME}
        assert again["resumed_at"] == rounds_saved(stopped)
        assert again["on_record"] == list(range(1, whole["rounds"] + 1))
        assert files_of(resumed) == files_of(tmp_path / "registry")
        resumed_at.append(again["resumed_at"])
    assert set(resumed_at) == set(range(whole["rounds"] + 1))
    assert sum(round_number == whole["rounds"] for round_number in resumed_at) > 8  # publishing has steps of its own


SAME = ("checkpoint_id", "rounds", "converged", "valid")


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 6, 11, 17, 23])
def test_training_killed_once_ends_with_the_checkpoint_of_an_uninterrupted_one(
    trained: Trained, tmp_path: Path, rounds: int
) -> None:
    folder = tmp_path / "registry"
    arguments = ("train", "--interactions", trained.world, "--registry", folder, *SETTINGS, "--json")
    assert interrupt(trained.command, arguments, folder, rounds, signal.SIGKILL) == KILLED
    outcome = trained.command.run(*arguments).json()
    assert rounds <= outcome["resumed_at"] <= 25
    assert outcome["checkpoint_id"] == trained.checkpoint_id
