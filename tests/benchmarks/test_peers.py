"""The centralised peers against what they are defined by, and how they are tuned and judged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.peers import Peer, Settings, als, as_matrix, ease, judge, of_matrix, peers, popularity, quick_peers
from feature_store.arrays import Float32Array, Int64Array
from tests.benchmarks.tastes import two_tastes
from training.evaluation import Scorer, evaluate
from training.histories import Histories

met_matrices = st.tuples(st.integers(1, 8), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0]))
)


def histories_of(met: Float32Array) -> Histories:
    return Histories.of(np.flatnonzero(row).tolist() for row in met)


def test_the_train_part_is_a_matrix_of_ones_where_a_client_met_an_item() -> None:
    matrix = as_matrix(Histories.of([[3, 1], [], [0]]), 5)
    assert matrix.toarray().tolist() == [[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]


@given(met=met_matrices, regularization=st.floats(0.1, 100.0))
def test_ease_is_the_regression_of_each_item_on_all_the_others(met: Float32Array, regularization: float) -> None:
    """Column by column: least squares for item j from the other items, with ridge, and no weight on j itself."""
    items = met.shape[1]
    X = met.astype(np.float64)
    expected = np.zeros((items, items))
    for item in range(items):
        others = [other for other in range(items) if other != item]
        if others:
            A = np.vstack([X[:, others], np.sqrt(regularization) * np.eye(len(others))])
            b = np.concatenate([X[:, item], np.zeros(len(others))])
            expected[others, item] = np.linalg.lstsq(A, b, rcond=None)[0]
    score = ease(as_matrix(histories_of(met), items), {"regularization": regularization}, 0)
    everybody = np.arange(len(met))
    np.testing.assert_allclose(score(everybody), X @ expected, atol=2e-5)
    np.testing.assert_allclose(score(everybody[::-1]), (X @ expected)[::-1], atol=2e-5)


@given(met=met_matrices)
def test_popularity_scores_an_item_by_how_many_people_have_met_it(met: Float32Array) -> None:
    scores = popularity(as_matrix(histories_of(met), met.shape[1]), {}, 0)(np.arange(len(met)))
    assert scores.tolist() == [met.sum(axis=0).tolist()] * len(met)


def test_als_finds_the_two_tastes() -> None:
    split = two_tastes()
    score = als(dim=2)(as_matrix(split.train, 30), {"alpha": 5.0, "regularization": 1.0}, 1)
    scores = score(np.arange(40))
    own = np.arange(30) % 2 == np.arange(40)[:, None] % 2
    assert scores[own].min() > scores[~own].max()
    best = judge(Peer("als", [{"alpha": 5.0, "regularization": 1.0}], of_matrix(als(dim=2))), split, [1]).qualities[0]
    assert best.recall == 1.0  # 15 items of the taste, 9 of them met before


def test_als_depends_on_its_seed_and_on_nothing_else() -> None:
    train = as_matrix(two_tastes().train, 30)
    settings = {"alpha": 5.0, "regularization": 1.0}
    first, again, other = (als(dim=4)(train, settings, seed)(np.arange(40)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("peer", [*peers(4), *quick_peers(4)], ids=lambda peer: peer.name)
def test_every_peer_is_tuned_on_valid_and_never_sees_the_test_part(peer: Peer) -> None:
    """With other items in the test part, the settings are the same; with other items in valid, they may not be."""
    split = two_tastes()
    moved = replace(split, test=Histories.of([[(item + 1) % 30 for item in rows] for rows in split.test]))
    result, other = judge(peer, split, [1]), judge(peer, moved, [1])
    assert result.settings in peer.grid
    assert result.settings == other.settings
    assert result.name == peer.name
    assert other.qualities != result.qualities


def test_the_settings_that_are_best_on_valid_are_those_that_are_judged() -> None:
    split = two_tastes()
    fitted: list[tuple[float, int]] = []

    def fit(train: Any, settings: Settings, seed: int) -> Scorer:
        """Of setting 1, what everybody validates on comes first; of setting 2, what everybody is tested on."""
        fitted.append((settings["part"], seed))
        part = {0: split.train, 1: split.valid, 2: split.test}[int(settings["part"])]
        wanted = as_matrix(part, 30).toarray() + 0.01 * as_matrix(split.test, 30).toarray()
        assert (train != as_matrix(split.train, 30)).nnz == 0

        def score(clients: Int64Array) -> Float32Array:
            scores: Float32Array = wanted[clients]
            return scores

        return score

    result = judge(Peer("made up", [{"part": 0}, {"part": 1}, {"part": 2}], of_matrix(fit)), split, [4, 9])
    assert result.settings == {"part": 1}
    assert fitted == [(0, 4), (1, 4), (2, 4), (1, 4), (1, 9)]  # tuned with the first seed, judged with each
    assert [quality.ndcg for quality in result.qualities] == [1.0, 1.0]  # valid's items are left out, test's come next
    assert result.qualities[0] == evaluate(
        fit(as_matrix(split.train, 30), {"part": 1}, 4), 30, split.test, [split.train, split.valid]
    )


def test_the_full_grid_holds_the_quick_one() -> None:
    full = {peer.name: peer.grid for peer in peers(8)}
    for peer in quick_peers(8):
        assert all(settings in full[peer.name] for settings in peer.grid)
    assert set(full) == {"popularity", "ease", "als"}
