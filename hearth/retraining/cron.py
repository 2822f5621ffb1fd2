"""Cron: expressions of five fields, as crontab(5) has them, and the next moment that one means.

    field           values
    minute          0-59
    hour            0-23
    day of month    1-31
    month           1-12, or jan-dec
    day of week     0-7, or sun-sat; 0 and 7 are Sunday

A field is a list of parts with commas; a part is *, a value or a range a-b, and behind * or a range /n takes every
n-th. Where both fields of days say something (begin with no *), a day has to match one of the two, otherwise both.

Times are those of a clock on the wall. A time that a clock put forward leaves out comes later by as much as it was put
forward; of a time that a clock put back shows twice, the first one counts.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feature_store.errors import BadInput

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of week": {name: number for number, name in enumerate(_WEEKDAYS)},
}
_FIELDS = {"minute": (0, 59), "hour": (0, 23), "day of month": (1, 31), "month": (1, 12), "day of week": (0, 7)}
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_LEAP_YEAR = 2024
_LONGEST = 366 * 41  # days: of a 29 February on one day of the week, over a turn of the century that leaps none
_WIDEST = timedelta(days=2)  # that clocks were ever put forward or back at once, and a day


@dataclass(frozen=True, slots=True)
class Cron:
    """When something is to happen, on the clock of some zone.

    minutes, hours, days, months: that match.
    weekdays: likewise; 0 is Sunday.
    either_day: whether a day matches that is in one of days and weekdays; otherwise it has to be in both.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def matches_day(self, day: date) -> bool:
        """Whether anything is to happen on that day."""
        if day.month not in self.months:
            return False
        in_days, in_weekdays = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_days or in_weekdays if self.either_day else in_days and in_weekdays

    def of_day(self, day: date) -> Iterator[datetime]:
        """The times of that day on the wall, ascending."""
        if self.matches_day(day):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    yield datetime.combine(day, time(hour, minute))


def parse_cron(text: str) -> Cron:
    """The expression.

    >>> sorted(parse_cron("*/20 8-10 * * mon-fri").minutes)
    [0, 20, 40]

    Raises:
        BadInput: it is none, or means a day that never comes.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise BadInput(f"a schedule has five fields ({', '.join(_FIELDS)}), as 0 3 * * * has; got {text!r}")
    values = {name: _field(name, field) for name, field in zip(_FIELDS, fields, strict=True)}
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    cron = Cron(
        values["minute"],
        values["hour"],
        values["day of month"],
        values["month"],
        frozenset(day % 7 for day in values["day of week"]),
        either,
    )
    if not either and min(cron.days) > max(monthrange(_LEAP_YEAR, month)[1] for month in cron.months):
        raise BadInput(f"the schedule {text!r} means a day that its months do not have")
    return cron


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, such as Europe/Vienna; raises `BadInput` where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # of a name that is none, that is no path, that is a folder
        raise BadInput(f"there is no time zone {name!r}; one is named as Europe/Vienna, or UTC") from None


def next_time(cron: Cron, after: datetime, zone: tzinfo) -> datetime:
    """The first moment later than `after`, in UTC.

    after: with a time zone; zone: whose clock the expression is about.

    Raises:
        BadInput: the calendar ends first.
    """
    first = after.astimezone(zone).date() - _WIDEST
    found: list[datetime] = []
    enough = None
    for count in range(_LONGEST):
        day = first + timedelta(days=count)
        if enough is not None and day > enough:
            return min(found)
        for wall in cron.of_day(day):
            moment = wall.replace(tzinfo=zone).astimezone(UTC)  # fold 0: the first of two; before a gap, later by it
            if moment > after:
                found.append(moment)
        if found and enough is None:
            enough = day + _WIDEST  # a later time on the wall may be an earlier moment, where a clock is put forward
    raise BadInput("the schedule means no day of the next 41 years")


def _field(name: str, text: str) -> frozenset[int]:
    return frozenset(value for part in text.split(",") for value in _part(name, part))


def _part(name: str, text: str) -> range:
    least, most = _FIELDS[name]
    found = _PART.fullmatch(text)
    if found is None:
        raise BadInput(f"the {name} of a schedule is *, a value, a range a-b, or one of them with /n; got {text!r}")
    names: Mapping[str, int] = _NAMES.get(name, {})
    step = int(found["step"] or 1)
    if found["first"] == "*":
        first, last = least, min(most, 6) if name == "day of week" else most
    else:
        first = _value(name, found["first"], names)
        last = first if found["last"] is None else _value(name, found["last"], names)
        if name == "day of week" and first > last == 0:
            last = 7  # fri-sun
    if found["first"] == "*" and found["last"] is not None:
        raise BadInput(f"the {name} of a schedule has no range from *; got {text!r}")
    if found["step"] is not None and found["first"] != "*" and found["last"] is None:
        raise BadInput(f"the {name} of a schedule has a step behind * or a range, not behind one value; got {text!r}")
    if not least <= first <= last <= most or step < 1:
        raise BadInput(
            f"the {name} of a schedule is from {least} to {most}, ascending, in steps of 1 or more; got {text!r}"
        )
    return range(first, last + 1, step)


def _value(name: str, text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isascii() or not text.isdecimal():
        known = f" or {', '.join(names)}" if names else ""
        raise BadInput(f"the {name} of a schedule is a number{known}; got {text!r}")
    return int(text)
