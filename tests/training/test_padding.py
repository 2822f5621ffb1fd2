"""Histories and padded batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.histories import Histories
from training.padding import PADDING, pad, padded_batches

CLIENTS = st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=15)


@given(CLIENTS)
def test_histories_give_back_what_they_were_made_of(clients: list[list[int]]) -> None:
    histories = Histories.of(clients)
    assert [rows.tolist() for rows in histories] == clients
    assert histories.lengths.tolist() == [len(client) for client in clients]


@given(CLIENTS.filter(bool), st.integers(1, 40))
def test_batches_hold_every_history_once_within_the_bound(clients: list[list[int]], cells: int) -> None:
    batches = list(padded_batches([np.array(c, np.int32) for c in clients], cells))
    found = [row[row != PADDING].tolist() for batch in batches for row in batch]
    assert sorted(found) == sorted(clients)
    assert all(batch.size <= cells or len(batch) == 1 for batch in batches)


def test_padding_stands_behind_the_items() -> None:
    assert pad([np.array([4, 2], np.int32), np.array([7], np.int32)]).tolist() == [[4, 2], [7, PADDING]]


def test_offsets_that_do_not_fit_the_rows_are_refused() -> None:
    with pytest.raises(BadInput, match="offsets of 3 rows"):
        Histories(np.array([1, 2, 3], np.int32), np.array([0, 2], np.int64))
