"""A simulation: everybody in one cell or in several, which changes who is drawn and nothing of what is summed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from tests.training.worlds import checkerboard
from training.cohort import sample_cohort
from training.histories import Chosen
from training.run import prepare
from training.settings import TrainingSettings
from training.transport import Cell, Cohorts, Simulation, simulation

SPLIT = checkerboard()
RUN = prepare(SPLIT, TrainingSettings.model_validate({"dim": 8, "alpha": 0.2, "cohort": 20}))
VECTORS = RUN.algorithm.broadcast(RUN.start())


def test_one_cell_of_everybody_sums_the_cohort_of_the_round() -> None:
    members = sample_cohort(np.arange(60), 20, seed=7, round_number=4)
    expected = RUN.algorithm.client_update(VECTORS, Chosen(SPLIT.train, members))
    update = simulation(RUN.algorithm, SPLIT.train, np.arange(60), 20, 7).round(4, VECTORS)
    assert (update.clients, update.loss) == (20, expected.loss)
    assert all(np.array_equal(array, expected.sums[name]) for name, array in update.sums.items())


def test_where_everybody_takes_part_the_sum_over_cells_is_that_over_one_up_to_the_order_of_adding() -> None:
    whole = simulation(RUN.algorithm, SPLIT.train, np.arange(60), 60, 7).round(0, VECTORS)
    cells = [Cell(SPLIT.train, part) for part in np.split(np.arange(60), [7, 31])]
    parts = Simulation(RUN.algorithm, cells, Cohorts(60, 60, 7)).round(0, VECTORS)
    assert parts.clients == 60
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    for name, array in whole.sums.items():
        np.testing.assert_allclose(parts.sums[name], array, rtol=0, atol=4e-6 * max(1.0, np.abs(array).max()))


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), size=st.integers(1, 60), round_number=st.integers(0, 9)
)
def test_each_cell_takes_the_same_share_of_its_clients_rounded_up(
    sizes: list[int], size: int, round_number: int
) -> None:
    population = sum(sizes)
    cohorts = Cohorts(size, population, seed=3)
    share = min(1.0, size / population)
    for clients in sizes:
        drawn = cohorts.of_cell(np.arange(100, 100 + clients), round_number)
        most = int(np.ceil(clients * share - 1e-9))
        passes = -(-clients // most)  # a pass over the cell is cut evenly
        assert len(drawn) in {clients // passes, -(-clients // passes)}
        assert set(drawn) <= set(range(100, 100 + clients))


def test_a_population_of_nobody_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one client"):
        simulation(RUN.algorithm, SPLIT.train, np.arange(0), 20, 7)
