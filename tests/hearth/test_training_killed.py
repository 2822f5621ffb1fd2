"""Training that is killed at any moment goes on to the very same checkpoint, and the registry is sound throughout."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from feature_store.registry import Registry
from hearth.report.record import RECORD, read_record
from tests.hearth.command import PATIENCE, ROOT, Ended
from tests.hearth.conftest import SETTINGS, Trained
from tests.hearth.killed_command import killed_before
from tests.hearth.world import small_world

KILLED = -signal.SIGKILL


def rounds_saved(registry: Path) -> int:
    """Rounds done, as the state file says; 0 where there is none."""
    file = registry / "training" / "state.safetensors"
    if not file.exists():
        return 0
    with safe_open(file, framework="numpy") as state:
        return int(state.metadata()["round_number"])


def assert_sound(registry: Registry, *others: str) -> None:
    """Everything listed loads and verifies, and these are in production and before it."""
    published = registry.checkpoint_ids()
    for checkpoint_id in published:
        assert registry.load(checkpoint_id).manifest.checkpoint_id == checkpoint_id
    stages = registry.stages()
    assert {stages.production, *stages.previous} <= {None, *published}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "ends",
    [
        ((2, "SIGKILL"), (20, "SIGINT")),
        pytest.param(((2, "SIGKILL"), (8, "SIGINT"), (14, "SIGKILL"), (20, "SIGKILL")), marks=pytest.mark.slow),
    ],
)
def test_training_killed_again_and_again_ends_with_the_checkpoint_of_an_uninterrupted_one(
    trained: Trained, hearth: Callable[..., Ended], tmp_path: Path, ends: tuple[tuple[int, str], ...]
) -> None:
    command, folder = trained.command, tmp_path / "registry"
    arguments = ("train", "--interactions", trained.world, "--registry", folder, *SETTINGS, "--promote", "--json")
    for rounds, name in ends:
        save = rounds - rounds_saved(folder) + 1  # the one that does not come to pass
        ended = hearth(*arguments, python=killed_before("os.rename", r"/\.state\.safe", name=name, time=save))
        assert ended.status == (130 if name == "SIGINT" else KILLED)
        assert "Traceback" not in ended.stderr
        assert rounds_saved(folder) == rounds
        assert command.registry(folder).checkpoint_ids() == []

    other = hearth(*arguments, "--seed", "8", "--regularization", "0.5")
    error = other.error()
    assert "holds round 20 of another run" in error
    assert "regularization 0.01 there and 0.5 here; seed 7 there and 8 here. Give the same settings" in error
    assert rounds_saved(folder) == 20
    kept = shutil.copytree(folder, tmp_path / "kept")

    # The draft is whole, and about to become the checkpoint.
    killed = hearth(*arguments, python=killed_before("os.rename", "drafts"))
    assert killed.status == KILLED
    assert rounds_saved(folder) == 25
    assert len(list(folder.glob("drafts/*/manifest.json"))) == 1
    assert_sound(command.registry(folder))
    assert command.registry(folder).checkpoint_ids() == []

    # The checkpoint is there, and the state about to be removed.
    killed = hearth(*arguments, python=killed_before("os.remove", r"/state\.safe"))
    assert killed.status == KILLED
    assert command.registry(folder).checkpoint_ids() == [trained.checkpoint_id]
    assert_sound(command.registry(folder))
    assert command.registry(folder).stages().production is None

    outcome = hearth(*arguments).json()
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
    outcome = hearth("train", "--interactions", trained.world, *afresh).json()
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
