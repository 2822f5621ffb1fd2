"""The privacy benchmark: its attacks succeed where everything is shown, and say nothing where nothing is known."""

import numpy as np
import pytest

from benchmarks.privacy import measure_privacy
from benchmarks.privacy_attacks import auc, f1, matched_auc, measure_attacks, sign_scores
from tests.training.worlds import checkerboard


def test_who_sees_single_updates_sees_everything_and_who_sees_sums_little() -> None:
    split = checkerboard(people=240)
    received = measure_attacks(split.train, 40, [1.0], 1e-5, seed=1)["received"]
    for apart in ("curvature, updates apart", "private, terms apart"):
        assert received[apart]["sign_auc"] > 0.99
        assert received[apart]["sign_f1"] > 0.99
    assert received["fedavg, updates apart"]["sign_auc"] > 0.8  # a third of the items is met: the rest stands out too
    assert received["curvature, updates apart"]["support_f1"] == 1
    noised = received["private ε = 1, noised sums"]
    assert noised["sign_f1"] < 0.6
    assert noised["membership_auc_at_most"] == pytest.approx(0.575, abs=0.002)
    assert noised["membership_auc"] < 0.575 + 0.08  # of 60 against 60 people: one standard error is .05
    assert received["nothing"]["support_f1"] == pytest.approx(2 * 12 / (40 + 12))


def test_the_pairs_of_the_sign_attack_take_popularity_out() -> None:
    random = np.random.default_rng(2)
    counts = random.permutation(1000)
    met = random.random(1000) < counts / 2000
    assert auc(counts[met].astype(float), counts[~met].astype(float)) > 0.6
    assert matched_auc(counts.astype(float), met, counts) == pytest.approx(0.5)
    assert matched_auc(met.astype(float), met, counts) == 1
    assert matched_auc(-met.astype(float), met, counts) == 0


def test_the_few_far_rows_are_taken_for_the_items_met_whatever_the_sign() -> None:
    direction = np.array([0.6, -0.8], np.float32)
    along = np.array([-0.1, 3, -0.2, 0.1, 2.5], np.float32)
    for sign in (1, -1):
        scores = sign_scores(sign * along[:, None] * direction)
        assert set(np.argsort(-scores)[:2].tolist()) == {1, 4}


def test_f1_and_auc_count_ties_half() -> None:
    assert f1(np.array([0, 1]), np.array([True, False, True, False])) == 0.5
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == (0.5 + 1 + 1 + 1) / 4


def test_the_curve_has_every_epsilon_and_training_without_privacy() -> None:
    figures = measure_privacy(
        checkerboard(people=240), delta=1e-5, dim=4, rounds=3, seeds=(1,), report=lambda _: None, epsilons=(0.1, 16.0)
    )
    tight, loose, none = figures["curve"]
    assert [tight["epsilon"], loose["epsilon"], none["epsilon"]] == [0.1, 16.0, None]
    assert tight["deviations"]["centred_gram"] > 10 * loose["deviations"]["centred_gram"] > 0
    assert min(none["ndcg@20"], loose["ndcg@20"]) > 0.5 > tight["ndcg@20"]
