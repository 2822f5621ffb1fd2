"""Rounds: what they learn, when they stop, and that stopping in between changes nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from feature_store.errors import BadInput, Diverged, StateMismatch
from tests.training.worlds import checkerboard
from training.client_update import ClientUpdate
from training.cohort import population, sample_cohort
from training.convergence import has_converged
from training.evaluation import evaluate, fold_in_scorer, top_rows
from training.histories import Histories
from training.item_features import ItemFeatures
from training.loop import run_rounds
from training.run import TrainingRun, prepare
from training.server_state import ServerState, load_state, save_state
from training.settings import TrainingSettings
from training.transport import simulation

SPLIT = checkerboard()
SMALL = {"dim": 8, "alpha": 0.2, "cohort": 20, "patience": 0, "rounds": 8}
FEATURES = ItemFeatures.of_categories([("even", "odd")[row % 2 : row % 2 + 1] for row in range(40)])


def run_of(features: ItemFeatures | None = None, **changes: object) -> TrainingRun:
    return prepare(SPLIT, TrainingSettings.model_validate(SMALL | changes), features)


def last(run: TrainingRun, state: ServerState) -> ServerState:
    for after, _ in run.rounds(state):
        state = after
    return state


def same(one: ServerState, other: ServerState) -> bool:
    return (
        one.round_number == other.round_number
        and one.validation == other.validation
        and one.parameters.keys() == other.parameters.keys()
        and one.statistics.keys() == other.statistics.keys()
        and all(np.array_equal(a, other.parameters[n]) for n, a in one.parameters.items())
        and all(np.array_equal(a, other.statistics[n]) for n, a in one.statistics.items())
        and one.best_round == other.best_round
        and one.best.keys() == other.best.keys()
        and all(np.array_equal(a, other.best[n]) for n, a in one.best.items())
    )


def test_two_tastes_are_learnt() -> None:
    """On the checkerboard the right answer is known: everybody is recommended items of one's own colour alone."""
    split = checkerboard(items=80, met=14)
    run = prepare(split, TrainingSettings.model_validate(SMALL | {"dim": 2, "rounds": 12}))
    state = last(run, run.start())
    people = np.arange(60)
    scores = fold_in_scorer(run.item_vectors(state), split.train, run.fold_in)(people)
    for person in people:
        scores[person, split.train[person]] = -np.inf
    assert (top_rows(scores, 20) % 2 == (people % 2)[:, None]).all()


@pytest.mark.parametrize("algorithm", ["curvature", "fedavg"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(algorithm: str, tmp_path: Path) -> None:
    changes = {"algorithm": algorithm}
    whole = last(run_of(FEATURES, **changes), run_of(FEATURES, **changes).start())
    first = run_of(FEATURES, **changes, rounds=3)
    save_state(tmp_path / "state", last(first, first.start()), first.identity())
    second = run_of(FEATURES, **changes)
    saved = load_state(tmp_path / "state", second.identity())
    assert saved is not None
    assert saved.round_number == 3
    assert same(last(second, saved), whole)


def test_another_seed_gives_another_model() -> None:
    one, other = run_of(rounds=2), run_of(rounds=2, seed=8)
    assert not same(last(one, one.start()), last(other, other.start()))


def test_each_round_draws_a_cohort_of_its_own() -> None:
    run = run_of(rounds=6)
    cohorts = []

    def watched(vectors: np.ndarray, histories: Sequence[np.ndarray]) -> ClientUpdate:
        cohorts.append(tuple(tuple(history) for history in histories))
        return run.algorithm.client_update(vectors, histories)

    algorithm = run.algorithm._replace(client_update=watched)
    list(run_rounds(algorithm, simulation(algorithm, SPLIT.train, np.arange(60), 20, 7), run.start(), rounds=6))
    assert len(set(cohorts)) == 6
    expected = [SPLIT.train[client] for client in sample_cohort(np.arange(60), 20, seed=7, round_number=5)]
    assert cohorts[5] == tuple(tuple(history) for history in expected)


def test_validation_ranks_the_validation_items_among_all_that_are_not_train() -> None:
    run = run_of()
    state = last(run, run.start())
    scorer = fold_in_scorer(run.item_vectors(state), SPLIT.train, run.fold_in)
    expected = evaluate(scorer, 40, SPLIT.valid, [SPLIT.train])
    assert run.validation(state) == expected
    assert state.validation[-1] == expected.ndcg > 0.4


def test_the_loss_falls_and_the_reports_say_what_happened() -> None:
    run = run_of(rounds=6)
    reports = [report for _, report in run.rounds(run.start())]
    assert [report.round_number for report in reports] == [1, 2, 3, 4, 5, 6]
    assert {report.cohort for report in reports} == {20}
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert reports[0].uplink_bytes_per_client == 4 * (40 * 8 + 8 * 8 + 40 + 40 + 1) + 8
    assert all(report.validation is not None and report.seconds > 0 for report in reports)
    assert reports[0].clients_per_second == pytest.approx(20 / reports[0].seconds)


def test_training_stops_when_validation_gains_no_more() -> None:
    run = run_of(rounds=60, patience=3)
    reports = [report for _, report in run.rounds(run.start())]
    assert len(reports) < 40
    assert [report.converged for report in reports] == [False] * (len(reports) - 1) + [True]
    done = last(run, run.start())
    assert list(run.rounds(done)) == []  # a run that has converged stays so when it is taken up again


def test_without_validation_items_every_round_is_run() -> None:
    split = checkerboard()
    empty = Histories.of([[]] * 60)
    run = prepare(
        type(split)(split.vocabulary, split.user_ids, split.train, empty, split.test),
        TrainingSettings.model_validate(SMALL),
    )
    reports = [report for _, report in run.rounds(run.start())]
    assert [report.validation for report in reports] == [None] * 8


def test_the_state_that_validated_best_is_chosen_also_after_an_interruption(tmp_path: Path) -> None:
    run = run_of()
    metrics = dict(enumerate([0.1, 0.3, 0.2, 0.3, 0.25, 0.1], start=1))

    def rounds(state: ServerState, limit: int) -> list[ServerState]:
        scripted = run_rounds(
            run.algorithm,
            simulation(run.algorithm, SPLIT.train, np.arange(60), 20, 7),
            state,
            rounds=limit,
            evaluate=lambda state: metrics[state.round_number],
        )
        return [state for state, _ in scripted]

    whole = rounds(run.start(), 6)
    chosen = whole[-1].chosen()
    assert chosen.round_number == 2  # the first of the two best
    np.testing.assert_array_equal(chosen.parameters["id_embedding"], whole[1].parameters["id_embedding"])

    save_state(tmp_path / "state", rounds(run.start(), 3)[-1], run.identity())
    saved = load_state(tmp_path / "state", run.identity())
    assert saved is not None
    resumed = rounds(saved, 6)[-1]
    assert same(resumed, whole[-1])
    assert same(resumed.chosen(), chosen)


def test_without_validation_the_last_state_is_chosen() -> None:
    run = run_of(rounds=3)
    states = [state for state, _ in run.rounds(run.start(), validate=False)]
    assert states[-1].chosen() is states[-1]


def test_a_diverging_run_says_so_instead_of_going_on() -> None:
    run = run_of(algorithm="fedavg", fedavg={"client_learning_rate": 1e30})
    with pytest.raises(Diverged, match="not finite"):
        last(run, run.start())


def test_a_saved_state_of_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    run = run_of()
    save_state(tmp_path / "state", run.start(), run.identity())
    with pytest.raises(StateMismatch, match="dim 8 there and 4 here"):
        load_state(tmp_path / "state", run_of(dim=4).identity())
    other_data = prepare(checkerboard(seed=4), TrainingSettings.model_validate(SMALL))
    with pytest.raises(StateMismatch, match="data"):
        load_state(tmp_path / "state", other_data.identity())
    with pytest.raises(StateMismatch, match="features"):
        load_state(tmp_path / "state", run_of(FEATURES).identity())
    assert load_state(tmp_path / "state", run_of(rounds=99, patience=4).identity()) is not None


def test_a_file_that_is_no_state_is_refused_and_none_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "absent", {}) is None
    (tmp_path / "state").write_bytes(b"something else")
    with pytest.raises(StateMismatch, match="not a saved training state"):
        load_state(tmp_path / "state", {})


def test_a_state_survives_the_disk_unchanged(tmp_path: Path) -> None:
    state = ServerState(5, {"a": np.eye(3, dtype=np.float32)}, {"b/1": np.ones(2, np.float32)}, (0.1, 0.1 + 1e-16))
    save_state(tmp_path / "deep" / "state", state, {"seed": 1})
    loaded = load_state(tmp_path / "deep" / "state", {"seed": 1})
    assert loaded is not None
    assert same(state, loaded)


def test_a_population_without_data_is_refused() -> None:
    with pytest.raises(BadInput, match="none of the 2 clients"):
        population(Histories.of([[], []]))


@pytest.mark.parametrize(
    ("validation", "patience", "converged"),
    [([], 3, False), ([0.1, 0.2, 0.3], 3, False), ([0.3, 0.2, 0.3, 0.1], 3, True), ([0.1, 0.2, 0.2], 0, False)],
)
def test_convergence_is_no_gain_over_the_best_before(
    validation: list[float], patience: int, *, converged: bool
) -> None:
    assert has_converged(validation, patience) is converged


@pytest.mark.parametrize(("items", "alpha"), [(3600, 0.2), (720, 1.0), (40, 1.0)])
def test_by_default_an_unmet_item_weighs_720_over_the_catalogue_and_never_more_than_a_met_one(
    items: int, alpha: float
) -> None:
    assert TrainingSettings().fold_in(items).alpha == pytest.approx(alpha)
    assert TrainingSettings(alpha=3.0).fold_in(items).alpha == 3.0


def test_features_of_other_items_are_refused() -> None:
    with pytest.raises(BadInput, match="features of 3 items and a vocabulary of 40"):
        prepare(SPLIT, TrainingSettings(), ItemFeatures.of_categories([()] * 3))
