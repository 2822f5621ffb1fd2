"""Rates and quotas, beside the definition of a token bucket in fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from serving.access.allowance import Allowances, Beyond, Taken
from serving.access.keys import ApiKey, Caller, hash_of

DAY = 86_400


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def caller(name: str = "shop", **limits: float) -> Caller:
    return Caller(name, ApiKey.model_validate({"hash": hash_of(name), "scopes": {"recommend"}, **limits}))


# Steps of 1/8 s and rates of 1/4: what the bucket computes in floats is exact then, and so is the comparison.
STEPS = st.lists(st.integers(0, 40), max_size=80)


@given(STEPS, st.integers(1, 40), st.integers(1, 6))
def test_as_many_pass_as_the_bucket_has_tokens_and_who_waits_as_told_passes(
    steps: list[int], quarters: int, burst: int
) -> None:
    rate, clock = Fraction(quarters, 4), Clock()
    allowances, who = Allowances(clock, lambda: 0.0), caller(per_second=quarters / 4, burst=burst)
    tokens = Fraction(burst)
    for step in steps:
        clock.now += step / 8
        tokens = min(Fraction(burst), tokens + rate * Fraction(step, 8))
        beyond = allowances.take(who)
        assert (beyond is None) == (tokens >= 1)
        if beyond is None:
            tokens -= 1
        else:
            assert beyond.limit == "rate"
            assert tokens + rate * beyond.seconds >= 1  # it is enough to wait so long
            assert beyond.seconds == 1 or tokens + rate * (beyond.seconds - 1) < 1  # and no second less is


@given(STEPS, st.integers(1, 5))
def test_in_any_window_no_more_pass_than_the_burst_and_what_comes_back_in_it(steps: list[int], burst: int) -> None:
    clock, passed = Clock(), []
    allowances, who = Allowances(clock, lambda: 0.0), caller(per_second=2.0, burst=burst)
    for step in steps:
        clock.now += step / 8
        if allowances.take(who) is None:
            passed.append(clock.now)
    for first, began in enumerate(passed):
        for last, ended in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + 2.0 * (ended - began)


def test_a_rate_without_a_burst_lets_through_what_comes_in_one_second() -> None:
    allowances, who = Allowances(Clock(), lambda: 0.0), caller(per_second=2.5)
    assert [allowances.take(who) for _ in range(4)] == [None, None, None, Beyond("rate", 1)]


def test_keys_do_not_share_and_one_without_limits_has_none() -> None:
    allowances = Allowances(Clock(), lambda: 0.0)
    one, other, free = caller("one", per_second=1.0), caller("other", per_second=1.0), caller("free")
    assert allowances.take(one) is None
    assert allowances.take(one) == Beyond("rate", 1)
    assert allowances.take(other) is None
    assert all(allowances.take(free) is None for _ in range(1000))


@given(st.lists(st.integers(0, DAY // 3), max_size=60), st.integers(1, 5))
def test_of_each_day_in_utc_the_first_requests_pass_and_the_others_hear_when_the_next_begins(
    steps: list[int], most: int
) -> None:
    clock = Clock(1e9)
    allowances, who = Allowances(clock, clock), caller(per_day=most)
    counted: dict[int, int] = {}
    for step in steps:
        clock.now += step
        day = int(clock.now) // DAY
        counted[day] = counted.get(day, 0) + 1
        beyond = allowances.take(who)
        assert (beyond is None) == (counted[day] <= most)
        if beyond is not None:
            assert beyond == Beyond("quota", DAY - int(clock.now) % DAY)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 100))
def test_a_batch_is_let_in_and_its_entries_are_waited_for_as_if_each_had_come_alone(
    quarters: int, burst: int, entries: int
) -> None:
    rate, clock = Fraction(quarters, 4), Clock()
    allowances, who = Allowances(clock, lambda: 0.0), caller(per_second=quarters / 4, burst=burst)
    assert allowances.take(who) is None
    assert allowances.take_more(who, entries - 1) is None
    missing = 1 - (burst - entries)  # tokens, until there is one
    beyond = allowances.take(who)
    if missing <= 0:
        assert beyond is None
    else:
        assert beyond == Beyond("rate", -(-missing // rate))
        clock.now = float(beyond.seconds)
        assert allowances.take(who) is None


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_batch_is_taken_from_the_quota_whole_or_not_at_all(most: int, entries: int) -> None:
    allowances, who = Allowances(Clock(), lambda: 0.0), caller(per_day=most)
    assert allowances.take(who) is None
    beyond = allowances.take_more(who, entries - 1)
    assert (beyond is None) == (entries <= most)
    left = most - (entries if beyond is None else 1)
    assert [allowances.take(who) is None for _ in range(left + 1)] == [True] * left + [False]


def test_what_the_rate_refuses_is_not_taken_from_the_quota() -> None:
    clock = Clock()
    allowances, who = Allowances(clock, lambda: 0.0), caller(per_second=1.0, burst=1, per_day=2)
    assert allowances.take(who) is None
    assert [allowances.take(who) for _ in range(5)] == [Beyond("rate", 1)] * 5
    clock.now = 1.0
    assert allowances.take(who) is None
    clock.now = 2.0
    assert allowances.take(who) == Beyond("quota", DAY)


def test_what_several_processes_let_through_is_counted_by_each_and_owed() -> None:
    """Two that hear each other late let twice the burst through, and then nothing until that is paid back."""
    clock, told = Clock(), [list[Taken](), list[Taken]()]
    both = [Allowances(clock, lambda: 0.0, one.append) for one in told]
    who = caller(per_second=2.0, burst=4, per_day=30)
    assert [one.take(who) for one in both for _ in range(4)] == [None] * 8
    for hearing, heard in zip(both, reversed(told), strict=True):
        for taken in heard:
            hearing.hear(taken)
        beyond = hearing.take(who)
        assert beyond is not None
        assert (beyond.limit, beyond.seconds) == ("rate", 3)
    clock.now += 2.5
    for one in both:
        assert one.take(who) is None
    assert both[0].take_more(who, 21) is None  # 8 and 1 of 30 are gone
    assert both[0].take_more(who, 1) == Beyond("quota", DAY)


def test_a_key_without_limits_is_told_of_to_nobody() -> None:
    told: list[Taken] = []
    allowances = Allowances(tell=told.append)
    assert allowances.take(caller()) is None
    assert allowances.take_more(caller(), 10) is None
    assert told == []
