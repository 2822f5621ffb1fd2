"""Interactions: every line is there, or counted, or reported."""

import csv
import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput, MalformedLine
from feature_store.vocabulary import ItemVocabulary
from training.interactions import Interactions, read_interactions

HEADER = "user_id,item_id,timestamp,event,value\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "interactions.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def lines_of(interactions: Interactions) -> list[tuple[str, str, float, str, float]]:
    """The arrays turned back into what the lines said."""
    return [
        (
            interactions.user_ids[user],
            interactions.vocabulary.item_ids[item],
            float(timestamp),
            interactions.event_names[event],
            float(value),
        )
        for user, item, timestamp, event, value in zip(
            interactions.users,
            interactions.items,
            interactions.timestamps,
            interactions.events,
            interactions.values,
            strict=True,
        )
    ]


ids = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=6)
lines = st.tuples(
    ids,
    ids,
    st.none() | st.floats(0, 4e9),
    st.sampled_from(["view", "rating"]),
    st.none() | st.floats(-10, 10, width=32),
)


@given(
    table=st.lists(lines, max_size=20),
    wanted=st.sampled_from([None, {"view", "rating"}]),
    least=st.none() | st.floats(-10, 10, width=32),
)
def test_every_line_is_there_or_counted(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str, float | None, str, float | None]],
    wanted: set[str] | None,
    least: float | None,
) -> None:
    path = tmp_path_factory.mktemp("read") / "interactions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event", "value", "user_id", "basket", "item_id", "timestamp"])
        writer.writerows([event, value, user, "x", item, time] for user, item, time, event, value in table)
    if wanted and wanted != {line[3] for line in table}:
        with pytest.raises(BadInput, match="holds no event"):
            read_interactions(path, events=wanted, min_value=least)
        return
    interactions = read_interactions(path, events=wanted, min_value=least)
    nan = math.nan
    kept = [
        (user, item, nan if time is None else time, event, nan if value is None else value)
        for user, item, time, event, value in table
        if least is None or value is None or value >= least
    ]
    assert repr(lines_of(interactions)) == repr(kept)  # by repr, NaN is NaN
    assert len(interactions) == len(kept)
    assert interactions.left_out.lines == interactions.left_out.low_values == len(table) - len(kept)
    assert interactions.user_ids == tuple(dict.fromkeys(line[0] for line in kept))
    assert interactions.vocabulary.item_ids == tuple(dict.fromkeys(line[1] for line in kept))


def test_columns_have_the_types_that_training_asks_for(tmp_path: Path) -> None:
    interactions = read_interactions(written(tmp_path, HEADER))
    assert [array.dtype for array in (interactions.users, interactions.items, interactions.events)] == [np.int32] * 3
    assert (interactions.timestamps.dtype, interactions.values.dtype) == (np.float64, np.float32)
    assert len(interactions) == 0


def test_events_not_asked_for_are_counted_by_name_and_before_low_values(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "u,a,1,buy,2\nv,b,2,return,-1\nu,c,3,buy,1\nu,d,4,return,5\nu,e,5,view,\n")
    interactions = read_interactions(path, events=["buy"], min_value=2)
    assert lines_of(interactions) == [("u", "a", 1.0, "buy", 2.0)]
    assert interactions.left_out.events == {"return": 2, "view": 1}
    assert (interactions.left_out.low_values, interactions.left_out.lines) == (1, 4)


def test_an_event_that_no_line_has_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "u,a,1,purchase,\nu,a,1,view,\n")
    with pytest.raises(BadInput, match="holds no event 'buy'; its events are: view, purchase"):
        read_interactions(path, events=["buy", "view"])


def test_items_of_the_vocabulary_keep_their_rows_and_others_follow(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "u,new,1,view,\nu,b,2,view,\n")
    interactions = read_interactions(path, vocabulary=ItemVocabulary(["a", "b"]))
    assert interactions.vocabulary.item_ids == ("a", "b", "new")
    assert interactions.items.tolist() == [2, 1]


def test_times_and_values_may_be_missing_altogether(tmp_path: Path) -> None:
    interactions = read_interactions(written(tmp_path, "user_id,item_id,event\nu,a,view\n"))
    assert np.isnan(interactions.timestamps).tolist() == np.isnan(interactions.values).tolist() == [True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",a,1,view,", "user_id has 1 to 256 characters; got 0"),
        ("u,,1,view,", "item_id has 1 to 256 characters; got 0"),
        ("u,a,1,,", "event has 1 to 256 characters; got 0"),
        (f"u,{'x' * 257},1,view,", "item_id has 1 to 256 characters; got 257"),
        ("u,a,2017-01-01,view,", "since 1970, or empty; got '2017-01-01'"),
        ("u,a,-1,view,", "since 1970, or empty; got '-1'"),
        ("u,a,nan,view,", "since 1970"),
        ("u,a,1511544070000,view,", "not milliseconds"),
        ("u,a,inf,view,", "since 1970"),
        ("u,a,1,view,many", "value is a finite number, or empty; got 'many'"),
        ("u,a,1,view,1e39", "value is a finite number"),
        ("u,a,1,view,nan", "value is a finite number"),
        ("u,a,1,view", "has 4 fields; the header names 5"),
    ],
)
def test_a_malformed_line_is_reported_even_where_its_event_is_left_out(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, HEADER + "u,a,1,buy,1\n" + line + "\n")
    with pytest.raises(MalformedLine, match=reason) as caught:
        read_interactions(path, events=["buy"])
    assert (caught.value.path, caught.value.line) == (path, 3)


@pytest.mark.parametrize("column", ["user_id", "item_id", "event"])
def test_each_required_column_is_asked_for(tmp_path: Path, column: str) -> None:
    path = written(tmp_path, HEADER.replace(column, "other"))
    with pytest.raises(MalformedLine, match=f"line 1: the header has no column '{column}'"):
        read_interactions(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("movielens_100k", (100_000, 943, 1_682)),
        ("complete_journey", (828_850, 801, 52_437)),
        ("online_retail", (404_893, 4_363, 3_662)),
        ("lastfm_2k", (279_313, 1_892, 18_022)),
        ("movielens_1m_ncf", (1_000_209, 6_040, 3_706)),
    ],
)
def test_the_shared_data_have_the_counts_their_provenance_states(name: str, counts: tuple[int, int, int]) -> None:
    if "HEARTH_DATA" not in os.environ:
        pytest.skip("HEARTH_DATA does not name the folder of the real data sets")
    path = Path(os.environ["HEARTH_DATA"]) / name / "interactions.csv.gz"
    interactions = read_interactions(path)
    assert (len(interactions), len(interactions.user_ids), len(interactions.vocabulary)) == counts
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for line, read in zip(csv.DictReader(file), lines_of(interactions), strict=True):
            assert (line["user_id"], line["item_id"], line["event"]) == (read[0], read[1], read[3])
            assert repr(read[2]) == repr(float(line.get("timestamp") or math.nan))
