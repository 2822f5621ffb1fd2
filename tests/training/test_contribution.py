"""What one client's update counts for before it is added to others."""

from collections.abc import Sequence

import numpy as np
import pytest

from training.client_update import ClientUpdate
from training.contribution import contribution, contributions
from training.server_settings import AggregationSettings


def trained(deltas: dict[str, list[float]], examples: float) -> ClientUpdate:
    sums = {name: np.float32(examples) * np.array(delta, np.float32) for name, delta in deltas.items()}
    counts = np.array([1, 0, 1], np.float32)
    return ClientUpdate({**sums, "weight": np.full(1, examples, np.float32), "item_counts": counts}, 0.5, 1)


def test_weighted_by_clients_each_delta_counts_the_same() -> None:
    one = contribution(trained({"w": [2.0, -4.0]}, examples=10), AggregationSettings(weighting="clients"))
    np.testing.assert_allclose(one.sums["w"], [2.0, -4.0], rtol=1e-6)
    assert one.sums["weight"].tolist() == [1.0]
    assert one.sums["item_counts"].tolist() == [1, 0, 1]
    assert (one.loss, one.clients) == (0.5, 1)


@pytest.mark.parametrize(("bound", "share"), [(10.0, 1.0), (5.0, 1.0), (2.5, 0.5), (0.01, 0.002)])
def test_a_delta_longer_than_the_bound_is_scaled_down_to_it_over_all_names_together(bound: float, share: float) -> None:
    """|(3, 0, 4)| = 5."""
    one = contribution(trained({"a": [3.0, 0.0], "b": [4.0]}, examples=7), AggregationSettings(clip_norm=bound))
    np.testing.assert_allclose(one.sums["a"], [3 * share, 0], rtol=1e-5)
    np.testing.assert_allclose(one.sums["b"], [4 * share], rtol=1e-5)
    assert one.sums["weight"].tolist() == [1.0]


def test_sums_without_a_weight_are_bounded_themselves_and_counts_stay() -> None:
    update = ClientUpdate(
        {"item_gradient": np.array([6.0, 8.0], np.float32), "item_counts": np.ones(2, np.float32)}, 1.0, 1
    )
    one = contribution(update, AggregationSettings(clip_norm=1.0))
    np.testing.assert_allclose(one.sums["item_gradient"], [0.6, 0.8], rtol=1e-6)
    assert one.sums["item_counts"].tolist() == [1, 1]


def test_each_client_of_a_cohort_is_bounded_by_itself_and_the_rest_is_a_sum() -> None:
    """So a group of any size sends one sum, and nobody needs to see a summand: secure aggregation stays possible."""

    def client_update(sent: float, clients: Sequence[float]) -> ClientUpdate:
        sums = {"w": np.array([sum(sent * n * n for n in clients)]), "weight": np.array([sum(clients)])}
        return ClientUpdate({name: a.astype(np.float32) for name, a in sums.items()}, 1.0 * len(clients), len(clients))

    bounded = contributions(client_update, AggregationSettings(clip_norm=2.0))
    together = bounded(1.0, [1.0, 2.0, 5.0, 9.0])  # deltas of 1, 2, 5 and 9
    np.testing.assert_allclose(together.sums["w"], [1 + 2 + 2 + 2], rtol=1e-6)
    assert together.sums["weight"].tolist() == [4.0]
    assert together.clients == 4
    assert contributions(client_update, AggregationSettings()) is client_update  # nothing to do: nothing done
