"""Cron: the next moment, held against a walk through every minute and against a reading of fields of its own."""

from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from hearth.retraining.cron import next_time, parse_cron, zone_of

RANGES = {0: (0, 59), 1: (0, 23), 2: (1, 31), 3: (1, 12), 4: (0, 7)}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
ZONES = ["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@st.composite
def parts(draw: st.DrawFn, field: int) -> tuple[str, frozenset[int]]:
    """One part of a field, and the values that it has by definition."""
    least, most = RANGES[field]
    names = {3: dict(enumerate(MONTHS, 1)), 4: dict(enumerate(WEEKDAYS))}.get(field, {})

    def written(value: int) -> str:
        return draw(st.sampled_from([str(value), names.get(value, str(value)), names.get(value, str(value)).upper()]))

    kind = draw(st.sampled_from(["all", "steps", "value", "range", "range in steps"]))
    step = draw(st.integers(1, 30)) if "steps" in kind else 1
    if kind in {"all", "steps"}:
        values = [value for value in range(least, 7 if field == 4 else most + 1) if (value - least) % step == 0]
        return ("*" if kind == "all" else f"*/{step}"), frozenset(values)
    first = draw(st.integers(least, most))
    last = first if kind == "value" else draw(st.integers(first, most))
    values = [value for value in range(least, most + 1) if first <= value <= last and (value - first) % step == 0]
    text = written(first) if kind == "value" else f"{written(first)}-{written(last)}"
    return text + (f"/{step}" if kind == "range in steps" else ""), frozenset(values)


@st.composite
def fields(draw: st.DrawFn, field: int) -> tuple[str, frozenset[int]]:
    some = draw(st.lists(parts(field), min_size=1, max_size=3))
    return ",".join(text for text, _ in some), frozenset().union(*(values for _, values in some))


EXPRESSIONS = st.tuples(*(fields(number) for number in range(5)))


@given(EXPRESSIONS, st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_a_moment_is_the_first_that_every_field_allows(
    expression: tuple[tuple[str, frozenset[int]], ...], later: timedelta
) -> None:
    (minute, minutes), (hour, hours), (day, days), (month, months), (weekday, weekdays) = expression
    text = f"{minute} {hour} {day} {month} {weekday}"
    has_both = day[0] != "*" and weekday[0] != "*"

    def is_meant(moment: datetime) -> bool:
        in_days = moment.day in days
        in_weekdays = {moment.isoweekday(), moment.isoweekday() % 7} & weekdays != set()
        is_day = (in_days or in_weekdays) if has_both else (in_days and in_weekdays)
        return is_day and moment.month in months

    try:
        cron = parse_cron(text)
    except BadInput:
        assert not any(is_meant(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)) for number in range(366))
        return
    after = datetime(2020, 1, 1, tzinfo=UTC) + later
    found = next_time(cron, after, UTC)
    # The oracle steps over whole days that are not meant, and then minute by minute.
    day_of = (after + timedelta(minutes=1)).replace(second=0, microsecond=0)
    for number in count():
        looked_at = day_of if number == 0 else (day_of + timedelta(days=number)).replace(hour=0, minute=0)
        assert looked_at <= found
        if not is_meant(looked_at):
            continue
        here = [looked_at + timedelta(minutes=later) for later in range(1440)]
        meant = [m for m in here if m.day == looked_at.day and m.hour in hours and m.minute in minutes]
        if meant:
            assert found == meant[0]
            return


@settings(max_examples=40)
@given(
    st.tuples(fields(0), st.sampled_from(["*", "2", "1-3", "0,2", "23"])),
    st.sampled_from(ZONES),
    st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 29), (10, 25), (3, 8), (4, 5))]),
    st.integers(-1440, 1440),
)
def test_around_a_change_of_clocks_each_time_on_the_wall_comes_once(
    given_fields: tuple[tuple[str, frozenset[int]], str], name: str, change: datetime, offset: int
) -> None:
    (minute, _), hour = given_fields
    zone = ZoneInfo(name)
    cron = parse_cron(f"{minute} {hour} * * *")
    after = change + timedelta(minutes=offset)
    walls = (change + timedelta(minutes=n) for n in range(-3 * 1440, 4 * 1440))
    moments = {
        wall.replace(tzinfo=zone).astimezone(UTC)
        for wall in walls
        if wall.minute in cron.minutes and wall.hour in cron.hours
    }
    assert next_time(cron, after, zone) == min(moment for moment in moments if moment > after)


def test_a_time_that_the_clock_leaves_out_comes_later_and_one_shown_twice_comes_first() -> None:
    vienna, nightly = ZoneInfo("Europe/Vienna"), parse_cron("30 2 * * *")
    spring = next_time(nightly, datetime(2026, 3, 28, 12, tzinfo=UTC), vienna)
    assert spring.astimezone(vienna).isoformat() == "2026-03-29T03:30:00+02:00"
    autumn = next_time(nightly, datetime(2026, 10, 24, 12, tzinfo=UTC), vienna)
    assert autumn.isoformat() == "2026-10-25T00:30:00+00:00"
    assert next_time(nightly, autumn, vienna).isoformat() == "2026-10-26T01:30:00+00:00"


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 3 * * *", "2026-02-03T03:00:00+00:00", "2026-02-04T03:00:00+00:00"),
        ("0 3 * * *", "2026-02-03T02:59:59+00:00", "2026-02-03T03:00:00+00:00"),
        ("0 0 29 2 *", "2026-02-03T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("0 0 29 2 */7", "2088-02-29T00:00:00+00:00", "2128-02-29T00:00:00+00:00"),
        ("0 12 13 * fri", "2026-01-01T00:00:00+00:00", "2026-01-02T12:00:00+00:00"),  # the 13th, or any Friday
        ("0 12 */2 * fri", "2026-01-01T13:00:00+00:00", "2026-01-09T12:00:00+00:00"),  # a Friday, odd as well
        ("0 0 * * fri-sun", "2026-02-02T00:00:00+00:00", "2026-02-06T00:00:00+00:00"),
        ("0 0 * * 7", "2026-02-02T00:00:00+00:00", "2026-02-08T00:00:00+00:00"),
    ],
)
def test_known_expressions_mean_known_times(text: str, after: str, expected: str) -> None:
    assert next_time(parse_cron(text), datetime.fromisoformat(after), UTC).isoformat() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * *", "has five fields"),
        ("0 0 3 * * *", "has five fields"),
        ("60 3 * * *", "the minute of a schedule is from 0 to 59"),
        ("0 3 0 * *", "the day of month of a schedule is from 1 to 31"),
        ("0 3 * foo *", "the month of a schedule is a number or jan, feb"),
        ("0 5-3 * * *", "the hour of a schedule is from 0 to 23, ascending"),
        ("*/0 3 * * *", "in steps of 1 or more"),
        ("5/10 3 * * *", "a step behind \\* or a range, not behind one value"),
        ("*-5 3 * * *", "no range from \\*"),
        ("0, 3 * * *", "the minute of a schedule is \\*, a value"),
        ("² 3 * * *", "the minute of a schedule is a number"),
        ("-1 3 * * *", "the minute of a schedule is \\*, a value"),
        ("0 0 31 2,4 *", "means a day that its months do not have"),
        ("", "has five fields"),
    ],
)
def test_what_is_no_schedule_is_refused_by_the_field(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_cron(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "Europe"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="there is no time zone"):
        zone_of(name)
