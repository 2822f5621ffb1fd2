"""What of a score is owed to which item met: the parts sum to the score, whatever the items are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contributions import contributions
from feature_store.fold_in import FoldInSettings, fold_in


@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_parts_sum_to_the_score(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(12, 4)).astype(np.float32)
    gram, settings = vectors.T @ vectors, FoldInSettings(0.3, 0.05)
    history = np.sort(rng.choice(12, length, replace=False)).astype(np.int32)
    targets = np.arange(12, dtype=np.int32)
    parts = contributions(vectors, gram, history, targets, settings)
    scores = vectors @ fold_in(vectors, gram, history, settings)
    np.testing.assert_allclose(parts.sum(axis=1), scores, rtol=1e-3, atol=1e-5)
    assert parts.shape == (12, length)


def test_what_is_alike_is_owed_more() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]], np.float32)
    parts = contributions(
        vectors, vectors.T @ vectors, np.array([0, 1], np.int32), np.array([2, 3], np.int32), FoldInSettings(0.1, 0.01)
    )
    assert parts[0, 0] > parts[0, 1]
    assert parts[1, 1] > parts[1, 0]
