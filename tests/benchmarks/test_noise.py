"""The benchmark of noised vectors, on a world of two tastes."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.noise import audiences_of, by_vector, measure_noise, trained
from feature_store.fold_in import FoldInSettings, fold_in
from hearth.commands.bench_noise import show_noise
from hearth.sources import read_source
from tests.benchmarks.tastes import two_tastes
from training.evaluation import evaluate
from training.histories import Histories

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.01)


def test_with_much_epsilon_a_list_is_as_without_noise_and_with_little_about_what_is_popular(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two tastes are one direction: a few ε tell it, if they are not spread over all numbers."""
    told: list[str] = []
    figures = measure_noise(two_tastes(clients=80), 8, WEIGHTS, [0.1, 8.0, 64.0], 4, told.append)

    assert told[:2] == ["least squares", "epsilon 0.1, privunit-g"]
    clear, popular = figures["none"]["ndcg@20"], figures["popular"]["ndcg@20"]
    assert clear > popular + 0.2
    for row in figures["noised"]:
        least, most = {0.1: (-1.0, popular + 0.1), 8.0: (popular + 0.1, 1.0), 64.0: (clear - 0.08, 1.0)}[row["epsilon"]]
        assert least < row["chosen"]["ndcg@20"]["mean"] < most, row
        assert row["chosen"]["directions"] == (4 if row["epsilon"] < 8 else 8)
    show_noise(figures)
    shown = capsys.readouterr().out
    assert f"{figures['noised'][2]['chosen']['ndcg@20']['mean']:.4f} ±" in shown
    assert f"{clear:.4f}" in shown


def test_an_audience_is_whoever_met_the_item() -> None:
    met = Histories.of([[2, 0], [], [0], [3, 2]])
    assert [people.tolist() for people in audiences_of(met, 5)] == [[0, 2], [], [0, 3], [3], []]


def test_least_squares_finds_the_tastes() -> None:
    vectors = trained(two_tastes().train, 30, 4, WEIGHTS)
    scores = vectors @ vectors.T
    same = np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
    assert scores[same].mean() > 0.2
    assert abs(scores[~same].mean()) < 0.05


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="needs the data sets of HEARTH_DATA")
def test_on_movielens_100k_a_projection_loses_less_and_no_list_is_worse_than_what_is_popular() -> None:
    split = read_source(Path(os.environ["HEARTH_DATA"]) / "movielens_100k").split
    figures = measure_noise(split, 64, WEIGHTS, [2.0, 8.0, 16.0], 2, lambda _: None)

    for row in figures["noised"]:
        ndcg = row["chosen"]["ndcg@20"]["mean"]
        assert figures["popular"]["ndcg@20"] < ndcg < figures["none"]["ndcg@20"]
        assert ndcg > row["all_numbers"]["ndcg@20"]["mean"] * 1.05


def test_what_is_popular_and_what_is_without_noise_are_judged_as_in_all_tables() -> None:
    split = two_tastes().judged
    figures = measure_noise(split, 4, WEIGHTS, [8.0], 1, lambda _: None)
    counts = np.bincount(split.train.rows, minlength=30).astype(np.float32)
    vectors = trained(split.train, 30, 4, WEIGHTS)
    people = np.stack([fold_in(vectors, vectors.T @ vectors, rows, WEIGHTS) for rows in split.train])

    popular = evaluate(lambda who: np.tile(counts, (len(who), 1)), 30, split.test, split.met_before_test)
    clear = evaluate(by_vector(people, vectors), 30, split.test, split.met_before_test)

    assert figures["popular"]["ndcg@20"] == pytest.approx(popular.ndcg)
    assert figures["none"]["ndcg@20"] == pytest.approx(clear.ndcg)
