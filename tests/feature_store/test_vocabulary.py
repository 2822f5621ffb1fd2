"""The vocabulary maps ids to rows and back, and never renumbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput, UnknownItem
from feature_store.vocabulary import ItemVocabulary

IDS = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=12)
ANY_IDS = st.lists(st.text(min_size=1, max_size=2), max_size=12)


@given(item_ids=IDS)
def test_the_row_of_an_item_is_its_place_in_the_list(item_ids: list[str]) -> None:
    vocabulary = ItemVocabulary(item_ids)
    assert [vocabulary.item_ids[vocabulary.row(item_id)] for item_id in item_ids] == item_ids
    rows = vocabulary.rows(item_ids)
    assert rows.tolist() == list(range(len(item_ids)))
    assert rows.dtype == np.int32


@given(item_ids=IDS, asked=ANY_IDS)
def test_known_rows_are_distinct_ascending_and_of_known_items_alone(item_ids: list[str], asked: list[str]) -> None:
    rows = ItemVocabulary(item_ids).known_rows(asked)
    assert rows.tolist() == [row for row, item_id in enumerate(item_ids) if item_id in asked]
    assert rows.dtype == np.int32


@given(item_ids=IDS, more=ANY_IDS)
def test_extending_keeps_every_row_and_adds_at_the_end(item_ids: list[str], more: list[str]) -> None:
    extended = ItemVocabulary(item_ids).extended(more).item_ids
    assert list(extended[: len(item_ids)]) == item_ids
    added = extended[len(item_ids) :]
    assert set(added) == set(more) - set(item_ids)
    assert list(added) == sorted(added, key=more.index)


def test_an_unknown_item_is_an_error_that_names_it() -> None:
    vocabulary = ItemVocabulary(["heat"])
    assert "heat" in vocabulary
    assert "goldeneye" not in vocabulary
    with pytest.raises(UnknownItem, match="'goldeneye' is none of the 1 items"):
        vocabulary.row("goldeneye")
    with pytest.raises(UnknownItem, match="'goldeneye'"):
        vocabulary.rows(["heat", "goldeneye"])


def test_an_empty_id_is_refused_by_its_row() -> None:
    with pytest.raises(BadInput, match="item 1 of the vocabulary has an empty id"):
        ItemVocabulary(["heat", ""])


def test_an_id_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="'heat' stands more than once"):
        ItemVocabulary(["heat", "goldeneye", "heat"])


def test_vocabularies_are_equal_when_ids_and_order_are() -> None:
    assert ItemVocabulary(["a", "b"]) == ItemVocabulary(["a", "b"])
    assert hash(ItemVocabulary(["a", "b"])) == hash(ItemVocabulary(["a", "b"]))
    assert ItemVocabulary(["a", "b"]) != ItemVocabulary(["b", "a"])
    assert ItemVocabulary([]) != ()
