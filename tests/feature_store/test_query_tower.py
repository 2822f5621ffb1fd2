"""The query tower: a user embedding shifted by context, and its vectors in a file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.query_tower import Context, ContextValue, QueryTower, named_vectors, tower_of

RANDOM = np.random.default_rng(0)
VALUES = [ContextValue("hour", "7"), ContextValue("weekday", "7"), ContextValue("device", "a/b")]
TOWER = QueryTower(3, {value: RANDOM.normal(size=3).astype(np.float32) for value in VALUES})
PERSON = RANDOM.normal(size=3).astype(np.float32)


@given(st.dictionaries(st.sampled_from(["hour", "weekday", "device", "vertical"]), st.sampled_from(["7", "8", "a/b"])))
def test_each_known_value_adds_its_vector_and_every_other_is_told(context: Context) -> None:
    expected, unknown = PERSON.astype(np.float64), set()
    for feature, value in context.items():
        if ContextValue(feature, value) in VALUES:
            expected = expected + TOWER.vectors[ContextValue(feature, value)]
        else:
            unknown.add(feature)

    np.testing.assert_allclose(TOWER.query(PERSON, context), expected, rtol=1e-6, atol=1e-7)
    assert set(TOWER.unknown(context)) == unknown


def test_a_context_of_which_nothing_is_known_leaves_the_very_bytes() -> None:
    for context in ({}, {"hour": "8"}, {"device": "7"}):
        assert TOWER.query(PERSON, context).tobytes() == PERSON.tobytes()


def test_the_order_in_which_a_context_is_written_changes_no_bit() -> None:
    one = TOWER.query(PERSON, {"hour": "7", "weekday": "7", "device": "a/b"})
    assert one.tobytes() == TOWER.query(PERSON, {"device": "a/b", "weekday": "7", "hour": "7"}).tobytes()


def test_a_tower_comes_back_from_its_names() -> None:
    back = tower_of(3, named_vectors(TOWER))
    assert back.vectors.keys() == TOWER.vectors.keys()
    assert all(back.vectors[value].tobytes() == TOWER.vectors[value].tobytes() for value in VALUES)


@pytest.mark.parametrize(
    ("name", "vector", "message"),
    [
        ("hour", np.zeros(3, np.float32), "named as hour/12; got 'hour'"),
        ("mood/12", np.zeros(3, np.float32), "got 'mood/12'"),
        ("hour/12", np.zeros(4, np.float32), r"shape \(3,\); hour '12' has float32 \(4,\)"),
        ("hour/12", np.zeros(3, np.float64), "has float64"),
        ("hour/12", np.array([0, np.nan, 0], np.float32), "finite"),
    ],
)
def test_what_is_no_tower_is_refused(name: str, vector: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        tower_of(3, {name: vector})
