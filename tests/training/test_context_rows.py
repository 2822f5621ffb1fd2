"""Context rows: hour, weekday, device and vertical of each entry, as the values of the settings."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feature_store.errors import BadInput
from feature_store.query_tower import ContextValue
from tests.training.worlds import checkerboard
from training.context_meetings import Meetings
from training.context_rows import context_at, context_rows
from training.context_settings import ContextSettings
from training.interactions import read_interactions
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split, split_by_time
from training.split_global import Cuts, split_by_date

ALL = ContextSettings(features=("weekday", "device", "hour", "vertical"), devices=("phone", "desk"))


@given(st.floats(0, 4e9), st.sampled_from([-11.0, -3.0, 0.0, 5.5, 14.0]))
def test_hours_and_weekdays_are_those_of_the_calendar(time: float, offset: float) -> None:
    there = datetime.fromtimestamp(time, timezone(timedelta(hours=offset)))
    assert context_at(time, offset) == {"hour": str(there.hour), "weekday": str(there.weekday())}


def test_each_entry_has_a_place_among_the_values_for_each_feature() -> None:
    monday_noon = datetime(2024, 1, 1, 12, tzinfo=UTC).timestamp()
    meetings = Meetings(np.array([monday_noon, monday_noon + 86_400]), ("desk", "watch"), np.array([0, 1], np.int32))
    catalogues = {"films": ((0, 2),), "books": ((2, 4),)}

    rows = context_rows(ALL, np.array([3, 1], np.int32), meetings, catalogues)

    values = ALL.values(("films", "books"))
    assert [[values[place] if place >= 0 else None for place in entry] for entry in rows] == [
        [("weekday", "0"), ("device", "desk"), ("hour", "12"), ("vertical", "books")],
        [("weekday", "1"), None, ("hour", "12"), ("vertical", "films")],
    ]


def test_the_values_follow_from_the_settings_alone() -> None:
    values = ALL.values(("films",))
    assert len({*values}) == len(values) == 7 + 2 + 24 + 1
    assert values[0] == ContextValue("weekday", "0")
    assert ContextSettings().values(("films",)) == ()


def test_the_vertical_alone_needs_no_times() -> None:
    chosen = ContextSettings(features=("vertical",))
    assert context_rows(chosen, np.array([1, 0], np.int32), None, {"a": ((0, 1),), "b": ((1, 2),)}).tolist() == [
        [1],
        [0],
    ]


def test_what_cannot_be_known_is_refused() -> None:
    items = np.array([0, 1], np.int32)
    with pytest.raises(BadInput, match="context of hour needs to know when"):
        context_rows(ContextSettings(features=("hour",)), items, None, {})
    one = Meetings(np.zeros(1), (), np.full(1, -1, np.int32))
    with pytest.raises(BadInput, match="the part has 2 entries, and its split tells when 1"):
        context_rows(ContextSettings(features=("hour",)), items, one, {})
    phone, watch = (ContextSettings(features=("device",), devices=(name,)) for name in ("phone", "watch"))
    with_phone = Meetings(np.zeros(2), ("phone",), np.array([0, -1], np.int32))
    assert context_rows(phone, items, with_phone, {}).tolist() == [[0], [-1]]
    with pytest.raises(BadInput, match="one of the devices watch; those found: phone"):
        context_rows(watch, items, with_phone, {})
    with pytest.raises(BadInput, match="those found: none, as there is no column device"):
        context_rows(phone, items[:1], one, {})
    with pytest.raises(BadInput, match="a time and a device each; got 1 and 2"):
        Meetings(np.zeros(1), (), np.zeros(2, np.int32))


def test_a_context_that_cannot_be_known_is_refused_before_the_first_round() -> None:
    settings = TrainingSettings(dim=2, context=ContextSettings(features=("hour",)))
    with pytest.raises(BadInput, match="context of hour needs to know when"):
        prepare(checkerboard(), settings)


@pytest.mark.parametrize(
    "given", [{"features": ("hour", "hour")}, {"features": ("device",)}, {"devices": ("phone",)}, {"rounds": 0}]
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ContextSettings.model_validate(given)


LINES = """user_id,item_id,timestamp,event,device
ann,a,100,view,phone
bob,b,50,view,
ann,a,20,view,desk
ann,b,300,view,phone
bob,a,400,view,desk
ann,c,350,view,desk
ann,a,360,view,phone
"""


def told(split: Split, part: str) -> list[tuple[str, float, str | None]]:
    """Item, time and device of each entry."""
    histories, meetings = getattr(split, part), getattr(split.meetings, part)
    return [
        (split.vocabulary.item_ids[row], time, meetings.device_names[device] if device >= 0 else None)
        for row, time, device in zip(histories.rows, meetings.times, meetings.devices, strict=True)
    ]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "interactions.csv"
    path.write_text(LINES)
    return path


def test_a_split_by_person_tells_when_each_item_was_met_first(lines: Path) -> None:
    split = split_by_time(read_interactions(lines), valid=0.34, test=0.34)
    assert told(split, "train") == [("a", 20, "desk"), ("b", 50, None), ("a", 400, "desk")]
    assert told(split, "valid") == [("b", 300, "phone")]
    assert told(split, "test") == [("c", 350, "desk")]


def test_a_split_by_date_tells_when_each_item_was_met_first_in_its_part(lines: Path) -> None:
    split = split_by_date(read_interactions(lines), Cuts(200, 355), "repeat")
    assert told(split, "train") == [("a", 20, "desk"), ("b", 50, None)]
    assert told(split, "valid") == [("b", 300, "phone")]
    assert told(split, "test") == [("a", 360, "phone"), ("a", 400, "desk")]
    assert split.final is not None
    assert [entry[1] for entry in told(split.final, "train")] == [20, 300, 350, 50]


def test_without_a_column_no_device_is_known(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("user_id,item_id,timestamp,event\nann,a,1,view\n")
    interactions = read_interactions(path)
    assert interactions.devices is None
    assert told(split_by_time(interactions), "train") == [("a", 1, None)]
