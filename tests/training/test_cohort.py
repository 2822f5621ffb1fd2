"""Who takes part in a round, and the groups of a cohort."""

import numpy as np
import pytest

from training.cohort import disjoint_cohorts, groups, population, sample_cohort
from training.histories import Histories


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


def test_cohorts_are_distinct_clients_with_data_and_follow_from_seed_and_round() -> None:
    clients = population(Histories.of([[1], [], [2], [3], [], [4]]))
    assert clients.tolist() == [0, 2, 3, 5]
    cohorts = [tuple(sample_cohort(clients, 2, seed=1, round_number=t)) for t in range(20)]
    assert cohorts == [tuple(sample_cohort(clients, 2, seed=1, round_number=t)) for t in range(20)]
    assert cohorts != [tuple(sample_cohort(clients, 2, seed=2, round_number=t)) for t in range(20)]
    assert len(set(cohorts)) > 3
    assert all(len(set(cohort)) == 2 and set(cohort) <= {0, 2, 3, 5} for cohort in cohorts)
    assert sample_cohort(clients, 99, seed=1, round_number=0).tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("size", [1, 4, 5, 19, 20, 30])
def test_in_every_pass_everybody_takes_part_once_in_cohorts_of_like_size(size: int) -> None:
    clients = np.arange(100, 120)
    rounds = -(-20 // size)
    for number in range(3):
        cohorts = [sample_cohort(clients, size, seed=3, round_number=number * rounds + t) for t in range(rounds)]
        assert sorted(np.concatenate(cohorts).tolist()) == clients.tolist()
        assert max(map(len, cohorts)) <= size
        assert max(map(len, cohorts)) - min(map(len, cohorts)) <= 1


def test_each_pass_has_an_order_of_its_own() -> None:
    clients = np.arange(100)
    orders = [[tuple(cohort) for cohort in disjoint_cohorts(clients, 10, 3, number)] for number in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert not set(orders[0]) & set(orders[2])
