"""Tuning: never below where it starts, blind to the test part, and the same after it was stopped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from feature_store.durable import exclusive
from feature_store.errors import BadInput, Diverged, StateMismatch
from hearth.search_space import space_of
from hearth.study import next_trial, open_study
from hearth.tuned import SETTINGS, Tuned
from hearth.tuning import STUDY, Watch, _try, tune
from tests.hearth.report.records import Page
from tests.training.worlds import checkerboard
from training.histories import Histories
from training.loop import RoundReport
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

SPLIT = checkerboard()
FEATURES = prepare(SPLIT, TrainingSettings(dim=2)).features
BASE = TrainingSettings(dim=4, rounds=2, cohort=20, seed=5)
SILENT = Watch(round=lambda _number, _report: None, trial=lambda _tuned: None)
TRIALS = 5


def tuned_in(folder: Path, split: Split = SPLIT, base: TrainingSettings = BASE, **options: Any) -> Tuned:
    return tune(folder, split, FEATURES, base, **{"trials": TRIALS, "watch": SILENT, **options})


def best_validation(settings: TrainingSettings) -> float:
    """Of what training with these settings would publish."""
    run = prepare(SPLIT, settings, FEATURES)
    state = run.start()
    for after, _ in run.rounds(state):
        state = after
    return run.validation(state.chosen()).ndcg


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A study that was never stopped. Tests do not write in its folder."""
    return tuned_in(tmp_path_factory.mktemp("study"))


def test_the_first_trial_is_of_the_settings_as_they_are_and_the_best_is_what_it_says(tuned: Tuned) -> None:
    assert tuned.start == tuned.trials[0].ndcg == best_validation(BASE)
    assert tuned.trials[0].values["curvature.learning_rate"] == 0.7
    assert len({trial.values["alpha"] for trial in tuned.trials}) == TRIALS
    complete = [trial for trial in tuned.trials if trial.outcome == "complete"]
    assert tuned.best == max(trial.ndcg or 0.0 for trial in complete) > tuned.start
    assert tuned.best == best_validation(tuned.settings)
    (chosen,) = (trial for trial in tuned.trials if trial.number == tuned.best_trial)
    assert chosen.ndcg == tuned.best


def test_the_file_of_settings_and_the_page_are_those_of_the_outcome(tuned: Tuned) -> None:
    written = json.loads((tuned.folder / SETTINGS).read_text())
    assert TrainingSettings.model_validate(written) == tuned.settings
    page = Page(Path(tuned.summary()["report"]).read_bytes())
    rows = page.tables["All trials, best first"][1:]
    assert rows[0][:3] == [str(tuned.best_trial), "complete", f"{tuned.best:.4f}"]
    assert len(rows) == TRIALS
    assert [row[0] for row in rows if row[0].endswith("(start)")] == ["0 (start)"]
    assert sum(tuned.importance.values()) == pytest.approx(1)
    assert json.dumps(written, indent=2) in page.text


def test_stopped_and_gone_on_with_by_somebody_with_another_test_part_it_tries_and_finds_the_same(
    tuned: Tuned, tmp_path: Path
) -> None:
    tuned_in(tmp_path, trials=2)
    other = dataclasses.replace(SPLIT, test=Histories.of([[person % 40] for person in range(60)]))
    again = tuned_in(tmp_path, other)
    assert [dataclasses.replace(trial, number=0) for trial in again.trials] == [
        dataclasses.replace(trial, number=0) for trial in tuned.trials
    ]
    assert again.settings == tuned.settings


def test_a_trial_that_was_interrupted_is_tried_again_the_first_as_well_as_another(tuned: Tuned, tmp_path: Path) -> None:
    def interrupted(_number: int, _report: RoundReport) -> None:
        raise KeyboardInterrupt

    for done in (0, 1):
        if done:
            tuned_in(tmp_path, trials=done)
        with pytest.raises(KeyboardInterrupt):
            tuned_in(tmp_path, watch=Watch(interrupted, SILENT.trial))
    again = tuned_in(tmp_path, trials=2)
    assert [trial.number for trial in again.trials] == [1, 3]
    assert [trial.values for trial in again.trials] == [trial.values for trial in tuned.trials[:2]]
    assert [trial.ndcg for trial in again.trials] == [trial.ndcg for trial in tuned.trials[:2]]


def test_a_study_of_other_settings_or_data_is_refused(tuned: Tuned) -> None:
    before = (tuned.folder / STUDY).read_bytes()
    with pytest.raises(StateMismatch, match=r"is a study of something else: rounds 2 there and 3 here\. --fresh"):
        tuned_in(tuned.folder, base=BASE.model_copy(update={"rounds": 3}))
    with pytest.raises(StateMismatch, match=r"data '\w+' there and '\w+' here"):
        tuned_in(tuned.folder, checkerboard(seed=4))
    longer = TrainingSettings.model_validate(BASE.model_dump() | {"curvature": {"learning_rate": 0.6}})
    with pytest.raises(StateMismatch, match=r"else: curvature\.learning_rate 0\.7 there and 0\.6 here\. --fresh"):
        tuned_in(tuned.folder, base=longer)
    assert (tuned.folder / STUDY).read_bytes() == before


def test_when_the_time_is_up_the_settings_to_start_from_have_still_been_judged(tmp_path: Path) -> None:
    outcome = tuned_in(tmp_path, timeout=0)
    assert [trial.number for trial in outcome.trials] == [0]
    assert outcome.best == outcome.start
    assert outcome.importance == {}


def test_without_validation_items_there_is_nothing_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nobody has validation items"):
        tuned_in(tmp_path, dataclasses.replace(SPLIT, valid=Histories.of([[]] * 60)))


def test_two_are_not_let_at_a_study_at_once(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock"), pytest.raises(BadInput, match="another process is tuning"):
        tuned_in(tmp_path)


def test_a_trial_that_diverges_is_the_worst_and_ends_nothing_unless_it_is_the_first(tmp_path: Path) -> None:
    wild = {"algorithm": "fedavg", "fedavg": {"client_learning_rate": 1e30}}
    base = TrainingSettings.model_validate(BASE.model_dump() | wild)
    with pytest.raises(Diverged):
        tuned_in(tmp_path / "wild", base=base)
    tuned_in(tmp_path, trials=1)
    with _study(tmp_path) as study:
        trial, _ = next_trial(study, space_of(BASE, 40), {}, 5)
        _try(study, trial, {}, SPLIT, FEATURES, base, SILENT)
    again = tuned_in(tmp_path, trials=2)
    assert [(trial.outcome, trial.ndcg) for trial in again.trials] == [("complete", again.start), ("diverged", None)]


def test_the_number_of_dimensions_is_chosen_among_those_given(tmp_path: Path) -> None:
    told: list[int] = []
    watch = Watch(lambda number, report: told.append(number), lambda tuned: told.append(-len(tuned.trials)))
    outcome = tuned_in(tmp_path, trials=3, dims=(2, 6), watch=watch)
    assert {trial.values["dim"] for trial in outcome.trials} <= {2, 4, 6}
    assert outcome.trials[0].values["dim"] == 4
    assert told[:3] == [0, 0, -1]


def test_other_numbers_of_dimensions_between_the_same_least_and_most_are_another_study(tmp_path: Path) -> None:
    tuned_in(tmp_path, trials=1, dims=(2, 6))
    with pytest.raises(StateMismatch, match=r"else: space\.dim \[2, 4, 6\] there and \[2, 3, 4, 6\] here"):
        tuned_in(tmp_path, trials=2, dims=(2, 3, 6))


def test_a_file_that_is_no_study_is_refused_by_its_name_and_fresh_discards_it(tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text("not a database")
    with pytest.raises(BadInput, match=r"study\.sqlite cannot be used: file is not a database; if it is damaged, --fr"):
        tuned_in(tmp_path, trials=1)
    assert len(tuned_in(tmp_path, trials=1, fresh=True).trials) == 1


def test_a_study_that_is_damaged_further_on_is_refused_too(tuned: Tuned, tmp_path: Path) -> None:
    whole = (tuned.folder / STUDY).read_bytes()
    (tmp_path / STUDY).write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(BadInput, match=r"study\.sqlite cannot be used: "):
        tuned_in(tmp_path)


@pytest.mark.parametrize("timeout", [float("nan"), -1.0])
def test_a_timeout_that_is_no_time_is_refused(tmp_path: Path, timeout: float) -> None:
    with pytest.raises(BadInput, match=r"timeout is a number of seconds, at least 0; got (nan|-1\.0)"):
        tuned_in(tmp_path, timeout=timeout)


def _study(folder: Path) -> Any:
    """The study of a folder, whatever it is of."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / STUDY}")
    about = optuna.load_study(study_name="hearth", storage=storage).user_attrs["about"]
    storage.remove_session()
    storage.engine.dispose()
    return open_study(folder / STUDY, about, warm_up=0)
