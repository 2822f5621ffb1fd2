"""Groups of a cohort."""

import numpy as np
import pytest

from training.cohort import groups


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 10), (3, [3, 3, 2, 2]), (5, [5, 5]), (99, [10]), (None, [10])])
def test_a_cohort_is_cut_into_groups_of_no_more_than_the_size(size: int | None, sizes: list[int]) -> None:
    cohort = np.arange(20, 30)
    cut = groups(cohort, size, seed=1, round_number=0)
    assert [len(group) for group in cut] == sizes
    assert sorted(np.concatenate(cut).tolist()) == cohort.tolist()


def test_who_is_grouped_with_whom_changes_from_round_to_round_and_follows_from_it() -> None:
    cohort = np.arange(100)
    cuts = [[tuple(group) for group in groups(cohort, 10, seed=1, round_number=t)] for t in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2]
    assert cuts[0][0] != tuple(range(10))  # neighbours by number are not grouped together
