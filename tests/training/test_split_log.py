"""The log of a split: weights by age, and recent counts."""

import math

import numpy as np
import pytest

from feature_store.errors import BadInput
from training.split_log import MeetingLog, recent_counts


def log_of(*meetings: tuple[int, int, float]) -> MeetingLog:
    clients, items, ages = zip(*meetings, strict=True)
    return MeetingLog(np.array(clients, np.int32), np.array(items, np.int32), np.array(ages, np.float64))


def test_a_meeting_counts_half_with_each_half_life_of_age() -> None:
    log = log_of((0, 1, 0.0), (1, 1, 60.0), (1, 1, 120.0), (2, 3, 180.0))
    assert recent_counts(log, 5, half_life=60.0).tolist() == [0, 1.75, 0, 0.125, 0]
    assert recent_counts(log, 5, half_life=math.inf).tolist() == [0, 3, 0, 1, 0]


def test_the_counts_of_everybody_are_the_sums_of_those_of_each_client() -> None:
    meetings = [(0, 1, 0.0), (1, 1, 60.0), (1, 2, 30.0), (2, 2, 10.0)]
    apart = sum(recent_counts(log_of(meeting), 4, 60.0) for meeting in meetings)
    np.testing.assert_allclose(recent_counts(log_of(*meetings), 4, 60.0), apart)


@pytest.mark.parametrize("half_life", [0.0, -1.0, math.nan])
def test_a_half_life_that_is_not_above_0_is_refused(half_life: float) -> None:
    with pytest.raises(BadInput, match="above 0 seconds"):
        log_of((0, 0, 1.0)).weights(half_life)


def test_a_log_from_the_future_or_with_columns_of_other_lengths_is_refused() -> None:
    with pytest.raises(BadInput, match=r"at least 0 seconds; got -1\.0"):
        log_of((0, 0, -1.0))
    one, two = np.zeros(1, np.int32), np.zeros(2, np.int32)
    with pytest.raises(BadInput, match="got 1, 2 and 1"):
        MeetingLog(one, two, np.zeros(1))
