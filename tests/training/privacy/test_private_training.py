"""Private training as a whole, on a checkerboard with a known answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from feature_store.errors import BadInput
from tests.training.worlds import checkerboard
from training.privacy.accountant import cost_of, epsilon_of
from training.privacy.ledger import BudgetSpent, FileLedger, MemoryLedger, cost_so_far
from training.privacy.noise import repeatable_noise
from training.privacy.release import ALONG, COUNTS, GRAM, Releases, most_met, people_of, plan
from training.privacy.settings import PrivacySettings
from training.run import TrainingRun, prepare
from training.server_state import ServerState, load_state, save_state
from training.settings import TrainingSettings
from training.split import Split

SPLIT = checkerboard(people=400)
PRIVACY = {"epsilon": 8.0, "delta": 1e-5}


def run_of(privacy: dict[str, Any] = PRIVACY, split: Split = SPLIT, ledger=None, seed: int = 1) -> TrainingRun:  # noqa: ANN001 - any ledger
    settings = TrainingSettings.model_validate({"dim": 4, "privacy": privacy})
    return prepare(split, settings, releases=Releases(ledger or MemoryLedger(), repeatable_noise(seed)))


def last(run: TrainingRun, state: ServerState) -> ServerState:
    for after, report in run.rounds(state):
        state = after
        assert (report.cohort, report.loss, report.validation) == (400, 0, None)
    return state


def test_it_learns_the_two_tastes() -> None:
    run = run_of()
    state = last(run, run.start())
    assert state.round_number == 3
    vectors = run.item_vectors(state)
    even, odd = vectors[::2], vectors[1::2]
    assert (even @ even.mean(axis=0)).min() > 0 > (even @ odd.mean(axis=0)).max()
    assert run.test(state).ndcg > 0.2  # both of the two test items among the eight of the taste that are left


def test_what_is_published_says_what_it_cost_and_nothing_that_no_noise_was_added_to() -> None:
    run = run_of()
    state = last(run, run.start())
    draft = run.draft(state, {"shop": ((0, 40),)})
    assert draft.privacy is not None
    assert (draft.privacy.epsilon, draft.privacy.run_epsilon, draft.privacy.delta) == (8, 8, 1e-5)
    assert draft.privacy.released.keys() == {COUNTS, GRAM, ALONG}
    assert draft.privacy.released[COUNTS] > draft.privacy.released[GRAM] > 0.6
    assert draft.metrics == {}
    assert draft.blend.weight == 0.5
    assert "data" not in draft.training
    assert "data" in run.identity()


def test_two_neighbouring_worlds_differ_in_what_is_released_by_no_more_than_one() -> None:
    """The whole way of a round, with the same noise in both: what is left is what the person adds."""
    histories = [*SPLIT.train]
    algorithm = run_of().algorithm
    known = np.linspace(40, 1, 120, dtype=np.float32).reshape(40, 3)
    for sent in (known[:, :0], known[:, :1], known):
        whole = algorithm.client_update(sent, histories)
        less = algorithm.client_update(sent, [*histories[:-1], np.empty(0, np.int32)])
        for name in whole.sums:
            difference = np.linalg.norm(whole.sums[name].astype(float) - less.sums[name])
            assert difference == pytest.approx(1, abs=1e-3)


def test_noise_is_on_every_number_that_leaves_a_round_and_is_another_for_another_run() -> None:
    states = [last(run, run.start()) for run in (run_of(seed=1), run_of(seed=2))]
    assert (states[0].statistics[COUNTS] != states[1].statistics[COUNTS]).all()
    clean = run_of().algorithm.client_update(np.empty((40, 0), np.float32), [*SPLIT.train]).sums[COUNTS]
    noise = np.concatenate([state.statistics[COUNTS] - clean for state in states])
    planned = plan(PrivacySettings(**PRIVACY), 400, 40)
    assert np.std(noise) == pytest.approx(planned.deviation(COUNTS), rel=0.3)


def test_the_sums_cost_the_budget_together_and_a_second_training_is_refused(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "ledger")
    run = run_of(ledger=ledger)
    last(run, run.start())
    assert [entry.released for entry in ledger.entries()] == [COUNTS, GRAM, ALONG]
    assert cost_so_far(ledger.entries()) == pytest.approx(cost_of(8, 1e-5))
    again = run_of({"epsilon": 0.5, "delta": 1e-5, "budget": 8.0}, ledger=ledger)
    with pytest.raises(BudgetSpent, match="this training would bring"):
        last(again, again.start())
    assert len(ledger.entries()) == 3  # nothing of it was begun
    granted = run_of({"epsilon": 4.0, "delta": 1e-5, "budget": 10.0}, ledger=ledger)
    state = last(granted, granted.start())
    spent = granted.draft(state, {"shop": ((0, 40),)}).privacy
    assert spent is not None
    assert spent.run_epsilon == 4
    assert spent.epsilon == pytest.approx(epsilon_of(cost_of(8, 1e-5) + cost_of(4, 1e-5), 1e-5), abs=1e-5)
    assert 8 < spent.epsilon < 10  # costs add up, not epsilons


def test_a_training_that_is_gone_on_with_pays_for_what_is_left_only(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "ledger")
    first = run_of(ledger=ledger)
    state, _ = next(first.rounds(first.start()))
    save_state(tmp_path / "state", state, first.identity())
    resumed = run_of(ledger=ledger)
    saved = load_state(tmp_path / "state", resumed.identity())
    assert saved is not None
    assert last(resumed, saved).round_number == 3
    assert cost_so_far(ledger.entries()) == pytest.approx(cost_of(8, 1e-5))


def test_without_a_ledger_nothing_private_is_trained() -> None:
    with pytest.raises(BadInput, match="takes a ledger"):
        prepare(SPLIT, TrainingSettings.model_validate({"privacy": PRIVACY}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"algorithm": "curvature"}, "no other algorithm does"),
        ({"item_item": {"items": 10}}, "item_item sends sums that no noise is added to"),
        ({"context": {"features": ["hour"]}}, "context sends sums"),
        ({"aggregation": {"clip_norm": 1.0}}, "aggregation are for the others"),
        ({"fedavg": {"local_epochs": 5}}, "algorithm gram has no use for settings of fedavg"),
        ({"privacy": PRIVACY | {"budget": 4.0}}, "one run may not spend more than all may"),
        ({"privacy": None, "algorithm": "gram"}, "algorithm gram goes with settings of privacy"),
    ],
)
def test_settings_that_would_release_what_nobody_accounts_for_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainingSettings.model_validate({"privacy": PRIVACY} | wrong)


def test_without_the_refinement_the_second_moment_has_its_share() -> None:
    run = run_of(PRIVACY | {"refinement_share": 0.0})
    assert last(run, run.start()).round_number == 2
    shared, whole = (plan(PrivacySettings(**PRIVACY, refinement_share=share), 400, 40) for share in (0.3, 0.0))
    assert shared.costs[GRAM] + shared.costs[ALONG] == pytest.approx(whole.costs[GRAM])
    assert shared.costs[ALONG] == pytest.approx(0.3 * whole.costs[GRAM])
    assert whole.costs.keys() == {COUNTS, GRAM}


def test_noise_in_which_nothing_stands_out_gives_vectors_of_nothing() -> None:
    run = run_of({"epsilon": 0.05, "delta": 1e-5})
    state = last(run, run.start())
    assert not run.item_vectors(state).any()


def test_more_privacy_looks_at_fewer_items() -> None:
    sizes = [plan(PrivacySettings(epsilon=epsilon, delta=1e-5), 6000, 3600).items for epsilon in (1, 2, 4, 8, 16)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 300
    assert 1000 < sizes[3] < 1500
    assert plan(PrivacySettings(epsilon=16, delta=1e-5), 10**6, 500).items == 500
    assert plan(PrivacySettings(epsilon=8, delta=1e-5, items=7), 6000, 3600).items == 7


def test_the_most_met_items_are_those_of_the_released_counts() -> None:
    planned = plan(PrivacySettings(epsilon=8, delta=1e-5, items=3), 100, 5)
    chosen, popularity = most_met(np.array([1, 9, -4, 30, 20], np.float32), planned)
    assert chosen.tolist() == [1, 3, 4]
    assert popularity.tolist() == [9, 30, 20]
    assert (most_met(np.array([-1, -1, -1, 0, 5], np.float32), planned)[1] > 0).all()


def test_counts_of_people_are_right_where_histories_are_of_one_length() -> None:
    people = people_of(np.array([10, 20, -1, 6], np.float32), people=36)
    assert people.tolist() == [10, 20, 0, 6]  # 36 people of one item each
    np.testing.assert_allclose(people_of(np.full(40, 400 * 12**0.5 / 40), 400), 120, rtol=1e-5)
