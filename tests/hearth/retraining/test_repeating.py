"""Repeating: what was missed is done once, failures are the caller's, and it ends when it is told to."""

from datetime import UTC, datetime, timedelta

import pytest

from hearth.retraining.cron import next_time, parse_cron
from hearth.retraining.repeating import repeat

START = datetime(2026, 2, 3, 12, tzinfo=UTC)
NIGHTLY = parse_cron("0 3 * * *")


class Days:
    """A clock that moves only while somebody waits, and the times at which something was run.

    sleeps: how much longer than asked each wait takes, in turn; then none.
    until: when the waiting is told to stop.
    takes: how long a run takes.
    """

    def __init__(
        self, until: datetime, sleeps: list[timedelta] | None = None, takes: timedelta = timedelta(minutes=20)
    ) -> None:
        self.time, self._until, self._sleeps, self._takes = START, until, sleeps or [], takes
        self.ran: list[datetime] = []
        self.longest = 0.0

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.longest = max(self.longest, seconds)
        extra = self._sleeps.pop(0) if seconds and self._sleeps else timedelta(0)
        self.time += timedelta(seconds=seconds) + extra
        return self.time >= self._until

    def run(self) -> None:
        self.ran.append(self.time)
        self.time += self._takes

    def repeat(self, since: datetime = START) -> list[datetime]:
        repeat(lambda after: next_time(NIGHTLY, after, UTC), self.run, self.wait, since=since, now=self.now)
        return self.ran


def at(day: int, hour: int = 3, minute: int = 0) -> datetime:
    return datetime(2026, 2, day, hour, minute, tzinfo=UTC)


def test_it_is_done_at_each_of_the_times() -> None:
    days = Days(until=at(7))
    assert days.repeat() == [at(4), at(5), at(6)]
    assert days.longest <= 30


def test_what_a_machine_that_slept_for_three_nights_missed_is_done_once_when_it_wakes() -> None:
    days = Days(until=at(9), sleeps=[timedelta(days=3, hours=1)])
    first, *others = days.repeat()
    assert at(6, 13) <= first <= at(6, 13, 1)
    assert others == [at(7), at(8)]


def test_what_was_missed_while_nothing_ran_is_done_at_once() -> None:
    assert Days(until=at(5)).repeat(since=at(1))[0] == START
    assert Days(until=at(5)).repeat(since=at(3))[0] == at(4)


def test_a_last_time_that_lies_in_the_future_counts_as_now() -> None:
    assert Days(until=at(5)).repeat(since=datetime(2031, 5, 1, tzinfo=UTC)) == [at(4)]


def test_a_clock_that_is_put_back_while_it_waits_leaves_nothing_waiting_for_the_future_it_showed() -> None:
    days = Days(until=at(6))
    days.time = datetime(2031, 5, 1, tzinfo=UTC)
    days._until = datetime(2032, 1, 1, tzinfo=UTC)
    waited = days.wait

    def wait(seconds: float) -> bool:
        if days.time.year > 2030:  # somebody sets the clock
            days.time, days._until = START, at(6)
        return waited(seconds)

    repeat(lambda after: next_time(NIGHTLY, after, UTC), days.run, wait, since=days.time, now=days.now)
    assert days.ran == [at(4), at(5)]


def test_a_run_that_takes_two_days_is_followed_by_the_one_it_missed_and_no_other() -> None:
    days = Days(until=at(9), takes=timedelta(days=2, hours=1))
    assert days.repeat() == [at(4), at(6, 4), at(8, 5)]


def test_what_a_run_raises_ends_it() -> None:
    days = Days(until=at(9))

    def fails() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        repeat(lambda after: next_time(NIGHTLY, after, UTC), fails, days.wait, since=START, now=days.now)
