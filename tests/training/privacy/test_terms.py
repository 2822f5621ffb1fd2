"""The terms of people: nobody's is longer than 1, and sums are sums of what each would send alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.privacy.centring import expected
from training.privacy.terms import along_terms, count_terms, gram_terms, symmetric

ITEMS = 12
HISTORY = st.sets(st.integers(0, ITEMS - 1)).map(lambda rows: np.array(sorted(rows), np.int32))
POPULARITY = st.lists(st.floats(0.1, 100), min_size=7, max_size=7).map(np.array)
CHOSEN = np.array([0, 2, 3, 5, 7, 8, 11], np.int32)
DIRECTIONS = np.linalg.qr(np.random.default_rng(6).standard_normal((7, 3)))[0].astype(np.float32)


def materialised(rows: np.ndarray, popularity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two terms of one person as their definitions say, written out, over their own norms."""
    met = np.isin(CHOSEN, rows).astype(float)
    apart = met - expected(popularity, np.array([int(met.sum())]))[0].astype(float)
    gram = np.array([apart[i] * apart[j] for i in range(7) for j in range(i, 7)])
    along = np.array([[apart[i] * sum(apart * DIRECTIONS[:, j]) for j in range(3)] for i in range(7)])
    return unit(gram), unit(along)


def unit(term: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(term)
    return term / length if length > 1e-3 else np.zeros(term.shape)


def along(histories: list[np.ndarray], popularity: np.ndarray) -> np.ndarray:
    return along_terms(histories, ITEMS, CHOSEN, popularity, DIRECTIONS)


@settings(max_examples=200)
@given(rows=HISTORY, popularity=POPULARITY)
def test_nobody_adds_more_than_one_to_any_sum(rows: np.ndarray, popularity: np.ndarray) -> None:
    gram = gram_terms([rows], ITEMS, CHOSEN, popularity)
    for term in (count_terms([rows], ITEMS), gram, along([rows], popularity)):
        assert np.linalg.norm(term.astype(np.float64)) <= 1


@given(rows=HISTORY.filter(len), popularity=POPULARITY)
def test_terms_are_what_their_definitions_say_over_their_lengths(rows: np.ndarray, popularity: np.ndarray) -> None:
    gram, sideways = materialised(rows, popularity)
    if gram.any():
        np.testing.assert_allclose(gram_terms([rows], ITEMS, CHOSEN, popularity), gram, atol=2e-3)
    if sideways.any():
        np.testing.assert_allclose(along([rows], popularity), sideways, atol=2e-3)


def test_a_person_makes_use_of_all_that_may_be_added() -> None:
    rows, popularity = np.array([0, 5], np.int32), np.linspace(1, 7, 7)
    assert np.linalg.norm(count_terms([rows], ITEMS)) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(gram_terms([rows], ITEMS, CHOSEN, popularity)) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(along([rows], popularity)) == pytest.approx(1, abs=1e-4)


def test_who_has_met_nothing_adds_nothing() -> None:
    nothing = np.empty(0, np.int32)
    assert not count_terms([nothing], ITEMS).any()
    assert not gram_terms([nothing], ITEMS, CHOSEN, np.ones(7)).any()
    assert not along([nothing], np.ones(7)).any()


@pytest.mark.parametrize("people", [3, 700])
def test_a_sum_over_many_is_the_sum_of_what_each_sends_alone(people: int) -> None:
    """Also where they are more than are computed together."""
    random = np.random.default_rng(4)
    histories = [random.permutation(ITEMS)[: random.integers(0, ITEMS + 1)].astype(np.int32) for _ in range(people)]
    popularity = np.linspace(1, 7, 7)
    alone = sum(gram_terms([rows], ITEMS, CHOSEN, popularity).astype(np.float64) for rows in histories)
    np.testing.assert_allclose(gram_terms(histories, ITEMS, CHOSEN, popularity), alone, atol=1e-3)
    sideways = sum(along([rows], popularity).astype(np.float64) for rows in histories)
    np.testing.assert_allclose(along(histories, popularity), sideways, atol=1e-3)
    alone = sum(count_terms([rows], ITEMS).astype(np.float64) for rows in histories)
    np.testing.assert_allclose(count_terms(histories, ITEMS), alone, rtol=1e-4)


def test_a_triangle_becomes_the_matrix_it_is_of() -> None:
    matrix = np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])
    assert symmetric(np.array([1, 2, 3, 4, 5, 6], np.float32), 3).tolist() == matrix.tolist()
