"""`hearth tune` in processes of its own: killed, gone on with, and its settings given to `hearth train`."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hearth.command import Ended
from tests.hearth.conftest import Trained
from tests.hearth.killed_command import killed_before

SMALL = ("--dim", "4", "--rounds", "2", "--cohort", "20")


def arguments(trained: Trained, study: Path) -> tuple[str | Path, ...]:
    return ("tune", "--interactions", trained.world, "--study", study, *SMALL, "--trials", "2", "--json")


def test_a_study_whose_process_was_killed_goes_on_without_doing_a_trial_twice(
    trained: Trained, hearth: Callable[..., Ended], tmp_path: Path
) -> None:
    program = killed_before("os.rename", r"/\.settings\.json")
    killed = hearth(*arguments(trained, tmp_path), python=program)
    assert killed.status == -signal.SIGKILL
    assert not (tmp_path / "settings.json").exists()
    ended = hearth(*arguments(trained, tmp_path))
    outcome = ended.json()
    told = [line for line in ended.stderr.splitlines() if line.startswith("trial ")]
    assert [line.split()[1] for line in told] == ["1"]
    assert sum(outcome["trials"].values()) == 2
    assert outcome["valid_ndcg@20"]["best"] >= outcome["valid_ndcg@20"]["start"] > 0
    assert json.loads((tmp_path / "settings.json").read_text()) == outcome["settings"]
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "report.html", "settings.json", "study.sqlite"}


@pytest.mark.slow
def test_training_with_the_settings_that_were_chosen_validates_as_the_study_says(
    trained: Trained, hearth: Callable[..., Ended], tmp_path: Path
) -> None:
    outcome = hearth(*arguments(trained, tmp_path)).json()
    training = ("train", "--interactions", trained.world, "--registry", tmp_path / "registry", "--json")
    published = hearth(*training, "--config", outcome["settings_file"]).json()
    assert published["valid"]["ndcg@20"] == outcome["valid_ndcg@20"]["best"]
    assert published["rounds"] == 2
