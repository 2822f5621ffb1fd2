"""Each row of a vocabulary belongs to one catalogue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.row_ranges import Catalogues, item_count, one_catalogue, require_partition, rows_of

ranges = st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 6)), max_size=3).map(tuple)


@given(st.dictionaries(st.sampled_from(["films", "books"]), ranges), st.integers(1, 6))
def test_catalogues_are_accepted_if_and_only_if_each_row_stands_in_one_range(
    catalogues: Catalogues, items: int
) -> None:
    spans = [span for spans in catalogues.values() for span in spans]
    written_out = sorted(row for start, stop in spans for row in range(start, stop))
    right = written_out == list(range(items)) and all(start < stop for start, stop in spans)
    try:
        require_partition(catalogues, items)
    except BadInput:
        assert not right
    else:
        assert right
        assert sum(map(item_count, catalogues.values())) == items
        together = sorted(row for spans in catalogues.values() for row in rows_of(spans).tolist())
        assert together == list(range(items))


def test_rows_ascend_whatever_the_order_of_the_ranges() -> None:
    assert rows_of(((4, 6), (0, 2))).tolist() == [0, 1, 4, 5]
    assert rows_of(()).tolist() == []


def test_one_catalogue_has_all_rows() -> None:
    require_partition(one_catalogue("films", 3), 3)


@pytest.mark.parametrize(
    ("catalogues", "reason"),
    [
        ({"films": ((0, 2),), "books": ((1, 3),)}, "'books' go from 1 to 3, where a range from 2 on is due"),
        ({"films": ((0, 1), (2, 3))}, "'films' go from 2 to 3, where a range from 1 on is due"),
        ({"films": ((0, 3), (3, 3))}, "'films' go from 3 to 3, where a range from 3 on is due"),
        ({"films": ((0, 2),)}, "do not add up to the 3 items"),
        ({" ": ((0, 3),)}, "one of the names is empty"),
    ],
)
def test_what_is_wrong_with_catalogues_is_said(catalogues: Catalogues, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        require_partition(catalogues, 3)
