"""What every aggregation does, whichever it is. A new one is a line in `RULES`."""

import weakref
from collections.abc import Iterator, Sequence
from statistics import mean, median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from feature_store.errors import BadInput, Diverged
from training.aggregation import Aggregation
from training.algorithm import Algorithm
from training.averaging import averaging, make_step
from training.client_update import ClientUpdate
from training.loop import run_rounds
from training.robust_aggregation import CELLS, make_aggregation
from training.server_settings import AggregationSettings, FedAvgServer
from training.server_state import ServerState
from training.transport import simulation

RULES: dict[str, dict[str, Any]] = {
    "mean": {"rule": "mean"},
    "median": {"rule": "median"},
    "median of groups of 4": {"rule": "median", "group_size": 4},
    "trimmed mean": {"rule": "trimmed_mean", "trim": 0.2},
    "trimmed mean of groups of 4": {"rule": "trimmed_mean", "trim": 0.3, "group_size": 4},
}
ROBUST = [name for name in RULES if name != "mean"]


def settings(name: str) -> AggregationSettings:
    return AggregationSettings.model_validate(RULES[name])


@pytest.fixture(params=RULES)
def aggregation(request: pytest.FixtureRequest) -> Aggregation:
    return make_aggregation(settings(request.param))


@pytest.fixture(params=ROBUST)
def robust(request: pytest.FixtureRequest) -> Aggregation:
    return make_aggregation(settings(request.param))


def update(kernel: Any, clients: int = 1, loss: float = 1.0, counts: Sequence[float] = (0, 1)) -> ClientUpdate:
    """As of `clients` clients who each sent this kernel."""
    sums = {
        "kernel": np.asarray(kernel, np.float32) * np.float32(clients),
        "weight": np.full(1, clients, np.float32),
        "item_counts": np.asarray(counts, np.float32),
    }
    return ClientUpdate(sums, loss * clients, clients)


def different(seed: int = 0, votes: int = 10) -> list[ClientUpdate]:
    random = np.random.default_rng(seed)
    return [update(random.standard_normal((3, 2)), clients=2, loss=float(seed)) for seed in range(votes)]


def test_the_same_updates_give_the_same_one_and_stay_as_they_were(aggregation: Aggregation) -> None:
    updates = different()
    before = [{name: array.copy() for name, array in u.sums.items()} for u in updates]
    first, second = aggregation.aggregate(updates), aggregation.aggregate(iter(updates))
    for name, array in first.sums.items():
        np.testing.assert_array_equal(array, second.sums[name])
    for u, copy in zip(updates, before, strict=True):
        assert all(np.array_equal(array, copy[name]) for name, array in u.sums.items())


def test_the_result_has_the_form_of_what_went_in_and_stands_for_all_clients(aggregation: Aggregation) -> None:
    updates = different()
    one = aggregation.aggregate(updates)
    assert {n: (a.shape, a.dtype) for n, a in one.sums.items()} == {
        n: (a.shape, np.float32) for n, a in updates[0].sums.items()
    }
    assert one.clients == 20
    assert one.loss == pytest.approx(20 * 4.5)
    np.testing.assert_allclose(one.sums["weight"], [20])
    np.testing.assert_allclose(one.sums["item_counts"], [0, 10])


def test_where_all_agree_their_vote_is_taken(aggregation: Aggregation) -> None:
    kernel = np.array([[1.5, -2.0], [0.0, 1e-3]])
    one = aggregation.aggregate([update(kernel, clients=size) for size in (4, 4, 4, 4, 3)])
    np.testing.assert_allclose(one.sums["kernel"] / one.sums["weight"], kernel, rtol=1e-6)


def test_the_order_of_the_updates_does_not_matter(aggregation: Aggregation) -> None:
    updates = different()
    there, back = aggregation.aggregate(updates), aggregation.aggregate(updates[::-1])
    for name, array in there.sums.items():
        np.testing.assert_allclose(array, back.sums[name], rtol=1e-4, atol=1e-5)


def test_updates_of_different_forms_are_refused(aggregation: Aggregation) -> None:
    with pytest.raises(BadInput, match=r"same sums; got .*\(2,\).*\(3,\)"):
        aggregation.aggregate([*[update([1, 2])] * 4, update([1, 2, 3])])


def test_memory_holds_one_update_and_what_was_made_of_those_before(aggregation: Aggregation) -> None:
    arrays_alive: list[int] = []
    references: list[weakref.ref[np.ndarray]] = []

    def updates() -> Iterator[ClientUpdate]:
        for seed in range(10):
            made = update(np.full((3, 2), seed), clients=2)
            references.append(weakref.ref(made.sums["kernel"]))
            yield made
            del made
            arrays_alive.append(sum(reference() is not None for reference in references))

    aggregation.aggregate(updates())
    assert max(arrays_alive) <= 2  # the one that is worked on, and the first, which a sum may begin with


@pytest.mark.parametrize("name", RULES)
def test_single_updates_are_seen_by_exactly_the_rules_that_say_so(name: str) -> None:
    """The field is held to what the loop does: how many clients are summed before the rule sees anything."""
    seen: list[int] = []

    def client_update(sent: np.ndarray, clients: Sequence[float]) -> ClientUpdate:
        seen.append(len(clients))
        return update(np.array([np.mean(clients)]), clients=len(clients))

    aggregation = make_aggregation(settings(name))
    algorithm = Algorithm(
        lambda state: state.parameters["kernel"],
        client_update,
        averaging(make_step(FedAvgServer())),
        aggregation,
    )
    data = [float(client) for client in range(30)]
    start = ServerState(0, {"kernel": np.zeros(1, np.float32)})
    list(run_rounds(algorithm, simulation(algorithm, data, np.arange(30), 15, 1), start, rounds=3))
    assert sum(seen) == 45
    assert aggregation.needs_single_updates == (min(seen) == 1)
    assert max(seen) == {None: 15}.get(aggregation.group_size, aggregation.group_size)


def test_a_minority_of_votes_cannot_move_a_robust_rule_beyond_the_honest_ones(robust: Aggregation) -> None:
    """The poisoned votes are finite, and every number and claim of theirs is absurd."""
    random = np.random.default_rng(1)
    honest = [update(random.standard_normal(4), clients=2) for _ in range(8)]
    poison = [update(np.full(4, value), clients=2, loss=1e9, counts=(1e9, -1e9)) for value in (1e30, -1e30)]
    one = robust.aggregate([poison[0], *honest, poison[1]])
    votes = np.array([u.sums["kernel"] / u.clients for u in honest])
    kernel = one.sums["kernel"] / one.sums["weight"]
    assert (votes.min(axis=0) <= kernel).all()
    assert (kernel <= votes.max(axis=0)).all()
    assert one.loss == pytest.approx(20)
    np.testing.assert_allclose(one.sums["item_counts"], [4, 8])  # each group of 2 adds from 0 to 2
    claims = ClientUpdate(honest[0].sums | {"weight": np.full(1, 1e9, np.float32)}, 1.0, 2)
    assert robust.aggregate([claims, *honest[1:]]).sums["weight"] == pytest.approx(16)


def test_the_mean_follows_whatever_one_client_sends() -> None:
    """Why the robust rules are there."""
    one = make_aggregation(settings("mean")).aggregate([update([1.0])] * 99 + [update([1e6])])
    assert one.sums["kernel"] / one.sums["weight"] > 1e3


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_votes_that_are_not_finite_are_left_out(robust: Aggregation, broken: float) -> None:
    good = [update([1.0, 2.0], clients=2)] * 5
    bad = [update([1.0, broken], clients=2), update([1.0, 2.0], clients=2, loss=broken)]
    one = robust.aggregate([*good, *bad])
    assert one.clients == 10
    np.testing.assert_allclose(one.sums["kernel"], [10.0, 20.0])


def test_a_sum_over_the_whole_cohort_is_refused_by_a_robust_rule(robust: Aggregation) -> None:
    with pytest.raises(BadInput, match=r"at least [345] updates; there are 1, which are the sums over 600 clients"):
        robust.aggregate([update([1.0], clients=600)])


def test_trimming_that_cuts_nobody_is_refused() -> None:
    rule = make_aggregation(AggregationSettings(rule="trimmed_mean", trim=0.1))
    with pytest.raises(BadInput, match=r"at least 10 updates; there are 9, which are the sums over 9 clients"):
        rule.aggregate([update([1.0])] * 9)


def test_nobody_stops_a_run_by_a_vote_that_is_not_finite() -> None:
    """Of the nine that are left a tenth is not one vote; the highest and the lowest are cut off all the same."""
    votes = [float("nan"), *map(float, range(7)), 1e9, -1e9]
    one = make_aggregation(AggregationSettings(rule="trimmed_mean", trim=0.1)).aggregate([update([v]) for v in votes])
    assert one.sums["kernel"] / one.clients == pytest.approx(3)


def test_a_round_whose_votes_are_hardly_ever_finite_has_diverged(robust: Aggregation) -> None:
    votes = [1.0, 1.0, *[float("nan")] * 8]
    with pytest.raises(Diverged, match=r"2 of the 10 updates of a round are finite, and a vote compares at least 3"):
        robust.aggregate([update([vote]) for vote in votes])


FINITE = st.floats(-1e3, 1e3, width=32)


@given(arrays(np.float32, st.tuples(st.integers(5, 9), st.integers(1, 4)), elements=FINITE))
def test_the_rules_are_those_of_the_paper(votes: np.ndarray) -> None:
    """Against the standard library, one number at a time, ties and all."""
    updates = [update(vote) for vote in votes]
    by_median = make_aggregation(AggregationSettings(rule="median")).aggregate(updates)
    by_trim = make_aggregation(AggregationSettings(rule="trimmed_mean", trim=0.25)).aggregate(updates)
    cut = len(votes) // 4
    for number, column in enumerate(votes.T.astype(float).tolist()):
        close = {"rel": 1e-5, "abs": 1e-3}
        assert by_median.sums["kernel"][number] == pytest.approx(len(votes) * median(column), **close)
        kept = sorted(column)[cut:-cut]
        assert by_trim.sums["kernel"][number] == pytest.approx(len(votes) * mean(kept), **close)


def test_more_numbers_than_are_looked_at_together_give_the_same_medians() -> None:
    random = np.random.default_rng(2)
    kernels = random.standard_normal((3, CELLS // 3 + 5)).astype(np.float32)
    one = make_aggregation(settings("median")).aggregate([update(kernel) for kernel in kernels])
    np.testing.assert_allclose(one.sums["kernel"], 3 * np.median(kernels, axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rule": "median", "sums_only": True}, "compares the updates of single clients, and sums_only"),
        ({"rule": "trimmed_mean", "sums_only": True}, "compares the updates of single clients, and sums_only"),
        ({"rule": "median", "weighting": "examples"}, "lets a client claim any number"),
        ({"clip_norm": 1.0, "weighting": "examples"}, "lets a client claim any number"),
        ({"clip_norm": 0.0}, "greater than 0"),
        ({"rule": "trimmed_mean", "trim": 0.5}, "less than 0.5"),
        ({"rule": "trimmed_mean", "trim": 0.0}, "greater than 0"),
        ({"group_size": 0}, "greater than or equal to 1"),
        ({"rule": "krum"}, "median"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AggregationSettings.model_validate(wrong)


def test_where_the_server_sees_sums_only_groups_and_bounds_are_left() -> None:
    for possible in ({"rule": "median", "group_size": 2}, {"clip_norm": 1.0}, {"rule": "mean"}):
        allowed = AggregationSettings.model_validate({**possible, "sums_only": True})
        assert not make_aggregation(allowed).needs_single_updates
