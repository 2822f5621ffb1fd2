"""The leave-one-out benchmark on a world of two tastes: chosen on validation, trained on all, judged on the test."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.federated_choice import changed
from benchmarks.leave_one_out import measure_leave_one_out
from hearth.commands.bench_leave_one_out import show_leave_one_out
from training.evaluation import fold_in_scorer
from training.run import prepare
from training.sampled_evaluation import evaluate_sampled
from training.settings import TrainingSettings
from training.split_leave_one_out import LeaveOneOut, read_leave_one_out

PEOPLE, ITEMS = 30, 40
SETTINGS = TrainingSettings(dim=4, rounds=8, cohort=10, patience=0)
GRID = ({"alpha": 0.5, "regularization": 50.0}, {"alpha": 0.5, "regularization": 0.01})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LeaveOneOut:
    """Person 0 meets even items, person 1 odd ones, and so on; the negatives of the test are of the other taste."""
    return read_leave_one_out(write_world(tmp_path_factory.mktemp("ncf")))


def write_world(folder: Path) -> Path:
    pairs, tests = ["user_id,item_id,event,split"], ["user_id,item_id,rating,timestamp,negatives"]
    for person in range(PEOPLE):
        met = np.random.default_rng([8, person]).permutation(np.arange(person % 2, ITEMS, 2))[:9]
        pairs += [f"{person},{item},rated,train" for item in met[:-1]]
        pairs.append(f"{person},{met[-1]},rated,test")
        tests.append(f"{person},{met[-1]},5,1,{' '.join(map(str, range(1 - person % 2, ITEMS, 2)))}")
    (folder / "interactions.csv.gz").write_text("\n".join(pairs) + "\n")
    (folder / "ncf_test.csv.gz").write_text("\n".join(tests) + "\n")
    return folder


@pytest.fixture(scope="module")
def figures(data: LeaveOneOut) -> dict[str, Any]:
    return measure_leave_one_out(data, SETTINGS, [1, 2], lambda line: None, GRID)


def test_what_validates_best_is_trained_on_the_whole_train_part_and_judged(
    data: LeaveOneOut, figures: dict[str, Any]
) -> None:
    federated = figures["federated"]
    tried = [one["sampled_hr@10"] for one in federated["valid"]]
    assert federated["chosen"] == GRID[int(np.argmax(tried))]
    hits = []
    for seed in (1, 2):
        run = prepare(data.final, changed(SETTINGS, {**federated["chosen"], "seed": seed}, ITEMS))
        *_, (state, _) = run.rounds(run.start(), validate=False)
        score = fold_in_scorer(run.item_vectors(state), data.final.train, run.fold_in)
        hits.append(evaluate_sampled(score, data.final.test, data.test_negatives).hr_10)
    assert federated["mean"]["sampled_hr@10"] == pytest.approx(np.mean(hits))
    assert federated["mean"]["sampled_hr@10"] > 0.9  # the twenty others are of the other taste


def test_the_peers_are_judged_by_the_same_test(figures: dict[str, Any]) -> None:
    assert figures["peers"].keys() == {"popularity", "ease", "als"}
    assert figures["peers"]["ease"]["mean"]["sampled_hr@10"] > 0.9
    assert figures["peers"]["popularity"]["mean"]["sampled_hr@10"] < 0.9
    assert len(figures["peers"]["als"]["valid"]) > 1


def test_the_table_shows_everybody(figures: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    show_leave_one_out(figures, 2)
    shown = capsys.readouterr().out
    for name in ("federated", "popularity", "ease", "als"):
        assert name in shown
    assert f"{figures['federated']['mean']['sampled_ndcg@10']:.4f}" in shown
