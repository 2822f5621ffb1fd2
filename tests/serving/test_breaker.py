"""The circuit breaker, beside an account of what happened that is kept by itself."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import CorruptStore, StoreUnavailable
from serving.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def failing(breaker: Breaker, error: type[BaseException] = StoreUnavailable) -> None:
    with pytest.raises(error), breaker.attempt():
        raise error


def refuses(breaker: Breaker) -> bool:
    try:
        with breaker.attempt():
            return False
    except StoreUnavailable:
        return True


def test_after_so_many_failures_in_a_row_nothing_is_tried_until_the_pause_is_over() -> None:
    clock = Clock()
    breaker = Breaker(failures=3, pause_seconds=2.0, clock=clock)
    failing(breaker)
    failing(breaker, TimeoutError)
    assert not breaker.is_open
    failing(breaker)
    assert breaker.is_open
    clock.now = 1.9
    assert refuses(breaker)
    clock.now = 2.0
    assert not refuses(breaker)
    assert not breaker.is_open


def test_one_probe_at_a_time_is_let_through_and_one_that_fails_begins_another_pause() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, pause_seconds=1.0, clock=clock)
    failing(breaker)
    clock.now = 1.0

    def probe() -> None:
        with breaker.attempt():
            assert refuses(breaker)
            clock.now = 5.0
            assert refuses(breaker)
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable, match="away"):
        probe()
    clock.now = 5.9
    assert refuses(breaker)
    clock.now = 6.0
    assert not refuses(breaker)


def test_a_store_that_answers_with_damage_is_there_and_so_closes_the_breaker() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, pause_seconds=1.0, clock=clock)
    for _ in range(5):
        failing(breaker, CorruptStore)
    assert not breaker.is_open
    failing(breaker)
    clock.now = 1.0
    failing(breaker, CorruptStore)
    assert not breaker.is_open


def test_a_probe_that_is_cancelled_makes_room_for_the_next_and_says_nothing_of_the_store() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, pause_seconds=1.0, clock=clock)
    failing(breaker)
    clock.now = 1.0
    failing(breaker, asyncio.CancelledError)
    assert breaker.is_open
    assert not refuses(breaker)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["well", "away", "damaged"])), max_size=60))
def test_it_is_open_exactly_from_the_third_failure_in_a_row_to_the_next_answer(steps: list[tuple[float, str]]) -> None:
    """The oracle keeps the outcomes of all attempts that were made, and looks at the last ones."""
    clock = Clock()
    breaker = Breaker(failures=3, pause_seconds=1.0, clock=clock)
    made: list[tuple[float, str]] = []
    for wait, outcome in steps:
        clock.now += wait
        last = [found for _, found in made[-3:]]
        was_open = last == ["away"] * 3
        allowed = not was_open or clock.now >= made[-1][0] + 1.0
        assert breaker.is_open == was_open
        tried = False
        try:
            with breaker.attempt():
                tried = True
                if outcome != "well":
                    raise StoreUnavailable("away") if outcome == "away" else CorruptStore("damaged")
        except (StoreUnavailable, CorruptStore):
            pass
        assert tried == allowed
        if tried:
            made.append((clock.now, outcome))
