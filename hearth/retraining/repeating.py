"""Repeating: something done whenever its time has come, until it is told to stop.

Times are compared with the clock on the wall every half minute, so that a machine that slept is noticed when it wakes:
whatever was missed is done once then, however often its time had come. A clock that ran ahead and was put back, or a
last time that lies in the future, leaves nothing waiting for that future: what is due is worked out anew from now.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
_LONGEST_WAIT = 30.0  # seconds between two looks at the clock


def utc_now() -> datetime:
    """Now, with its time zone."""
    return datetime.now(UTC)


def repeat(
    next_time: Callable[[datetime], datetime],
    run: Callable[[], None],
    wait: Callable[[float], bool],
    *,
    since: datetime,
    now: Clock = utc_now,
    waits_until: Callable[[datetime], None] = lambda _: None,
) -> None:
    """Run at each of the times, one run at a time; a time that comes during a run is missed and done once after it.

    Args:
        next_time: the first of the times after a moment.
        run: what is done; what it raises ends the repeating.
        wait: for so many seconds at most; whether to stop.
        since: when it was done last, or may count as done. A time between then and now has been missed. One later than
            now is of a clock that was wrong, and counts as now.
        now: the clock.
        waits_until: told each time that is waited for.
    """
    looked = now()
    due = next_time(min(since, looked))
    waits_until(due)
    while True:
        left = (due - now()).total_seconds()
        if wait(max(0.0, min(left, _LONGEST_WAIT))):
            return
        before, looked = looked, now()
        if looked < before:  # the clock was put back
            due = next_time(looked)
            waits_until(due)
        if due > looked:
            continue
        began = now()
        run()
        due = next_time(began)
        waits_until(due)
