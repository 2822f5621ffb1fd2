"""The benchmark of retrieval, on few items: its figures are held against what can be told of them."""

import numpy as np
import pytest

from benchmarks.retrieval import Load, measure_retrieval
from benchmarks.retrieval_items import made_up
from feature_store.errors import BadInput

ITEMS = 3_000
SEARCHES = ("exact", "int8", "inverted", "numpy", "faiss flat", "tfrs brute force", "redis vector set")


@pytest.fixture(scope="module")
def figures() -> dict:  # type: ignore[type-arg]  # as it is printed
    return measure_retrieval(Load((ITEMS,), 16, 24, SEARCHES), None, lambda _: None)


def test_each_search_is_asked_with_each_filter_that_it_can_be_told(figures: dict) -> None:  # type: ignore[type-arg]
    rows = [(row["search"], row["eligible"]) for row in figures["rows"]]
    filters = ("none", "50 %", "1 %", "0.1 %")
    assert set(rows) == {
        (name, one) for name in SEARCHES for one in filters if name != "tfrs brute force" or one == "none"
    }
    assert len(rows) == len(set(rows))


def test_what_scores_every_item_misses_none_and_what_does_not_few(figures: dict) -> None:  # type: ignore[type-arg]
    for row in figures["rows"]:
        least = 0.95 if row["search"] in {"inverted", "redis vector set"} else 1.0
        assert row["recall_at_10"] >= least, row


def test_ratios_are_those_of_cpu_times_and_sizes_those_of_codes(figures: dict) -> None:  # type: ignore[type-arg]
    rows = {(row["search"], row["eligible"]): row for row in figures["rows"]}
    exact, numpy = rows["exact", "none"], rows["numpy", "none"]
    assert exact["faster_than_exact"] == 1.0
    assert numpy["faster_than_exact"] == pytest.approx(exact["cpu_ms"] / numpy["cpu_ms"], abs=0.01)
    of_one_list = 16 * (8 + 4 + 4) + 2 * 8  # steps, middle, spread; where it begins and ends
    assert rows["int8", "none"]["bytes"] == ITEMS * (16 + 4) + of_one_list
    assert rows["redis vector set", "none"]["bytes"] > ITEMS * 16 * 4
    assert all(row["p99_ms"] >= row["p50_ms"] > 0 for row in figures["rows"])
    assert figures["threads"] == 1


def test_a_search_that_there_is_not_is_named() -> None:
    with pytest.raises(BadInput, match="'guess'; there are exact, int8"):
        measure_retrieval(Load((100,), 4, 8, ("guess",), redis=False), None, lambda _: None)


def test_made_up_queries_are_not_those_that_an_index_is_tuned_with() -> None:
    asked = made_up(500, 8, 20)
    assert asked.queries.shape == (20, 8)
    assert asked.tuning.shape == (2_000, 8)
    assert not {row.tobytes() for row in asked.queries} & {row.tobytes() for row in asked.tuning}
    assert np.array_equal(asked.vectors, made_up(500, 8, 20).vectors)
