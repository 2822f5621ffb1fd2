"""Columns against plain lists and dictionaries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.assortment.columns import NO_NAME, Column, NamesColumn

names = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
steps = st.lists(st.one_of(st.tuples(st.just("grow"), st.integers(0, 40)), st.tuples(st.integers(0, 39), names)))


@given(steps)
def test_names_are_found_by_place_and_places_by_name_whatever_was_there_before(taken: list[tuple[object, ...]]) -> None:
    column, oracle = NamesColumn(2), [(), ()]
    codes: dict[str, int] = {}
    for what, value in taken:
        if what == "grow":
            column.grow(value)
            oracle += [()] * (value - len(oracle))
        elif what < len(oracle):
            column.put(what, value)
            oracle[what] = value
            codes.update({value[0]: len(codes)} if value and value[0] not in codes else {})
    assert [column.names(place) for place in range(len(oracle))] == oracle
    for wanted in ("a", "bc", "zde"):
        expected = [place for place, theirs in enumerate(oracle) if set(theirs) & set(wanted)]
        assert column.places(wanted).tolist() == expected
    assert column.first.tolist() == [codes[theirs[0]] if theirs else NO_NAME for theirs in oracle]


@given(st.lists(st.tuples(st.integers(0, 3000), st.one_of(st.none(), st.floats(-5, 5)))))
def test_numbers_are_kept_while_places_are_added(taken: list[tuple[int, float | None]]) -> None:
    column: Column[np.float64] = Column(1, np.float64(-1.0))
    oracle: dict[int, float] = {}
    for place, value in taken:
        column.grow(place + 1)
        column.put(place, value)
        oracle[place] = -1.0 if value is None else value
    assert len(column.values) == max([0, *oracle]) + 1
    assert {place: column.values[place] for place in oracle} == oracle
    assert all(number == -1.0 for place, number in enumerate(column.values) if place not in oracle)
