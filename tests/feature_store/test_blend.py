"""The blend of a personal score with popularity, against its formula written out."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.blend import (
    BLENDED_UP_TO,
    UNBLENDED,
    BlendSettings,
    blended_items,
    blended_query,
    blended_scores,
    popular_share,
)
from feature_store.errors import BadInput

known = st.integers(0, 2 * BLENDED_UP_TO)
weights = st.just(0.0) | st.floats(0.01, 10)


@given(weights, st.integers(1, 500), st.lists(known, min_size=1, max_size=5), st.integers(0, 99))
def test_scores_are_the_formula_and_the_product_of_the_longer_vectors(
    weight: float, people: int, histories: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    items, embeddings = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(len(histories), 3))
    counts = rng.integers(0, people + 1, 7).astype(np.float32)
    blend = BlendSettings(weight, people)

    found = blended_scores((embeddings @ items.T).astype(np.float32), counts, np.array(histories), blend)

    for embedding, n, row in zip(embeddings, histories, found, strict=True):
        k = weight if n <= BLENDED_UP_TO else 0.0
        total = math.sqrt(n) + k
        for item in range(7):
            personal, popular = float(embedding @ items[item]), counts[item] / people
            expected = (math.sqrt(n) * personal + k * popular) / total if total else personal
            assert row[item] == pytest.approx(expected, abs=1e-5)
        query = blended_query(embedding.astype(np.float32), n, blend)
        np.testing.assert_allclose(blended_items(items, counts, blend) @ query, row, atol=1e-5)


def test_popularity_weighs_less_the_more_is_known_and_nothing_beyond_the_limit() -> None:
    shares = [popular_share(n, BlendSettings(0.5, 10)) for n in range(BLENDED_UP_TO + 2)]

    assert shares[0] == 1.0
    assert all(more > less for more, less in itertools.pairwise(shares))
    assert (shares[BLENDED_UP_TO] > 0, shares[BLENDED_UP_TO + 1]) == (True, 0.0)


def test_a_vector_of_an_unknown_number_of_items_is_not_blended() -> None:
    vector = np.array([1.5, -2], np.float32)

    assert blended_query(vector, None, BlendSettings(0.5, 10)).tolist() == [1.5, -2, 0]
    assert blended_query(vector, 1, UNBLENDED).tolist() == [1.5, -2, 0]


@pytest.mark.parametrize(("weight", "people"), [(-0.1, 5), (math.inf, 5), (math.nan, 5), (1.0, 0)])
def test_settings_without_a_meaning_are_refused(weight: float, people: int) -> None:
    with pytest.raises(BadInput, match=f"got weight={weight}, people={people}"):
        BlendSettings(weight, people)
