"""Context: the clients' gradient, the server's step, and a world in which the hour is what counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in_many
from feature_store.query_tower import ContextValue
from feature_store.vocabulary import ItemVocabulary
from training.client_update import ClientUpdate
from training.context import context_step, context_update, train_context
from training.context_meetings import Meetings, SplitMeetings
from training.context_settings import ContextSettings
from training.histories import Histories
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

ALPHA, DIM, ITEMS, VALUES = 0.3, 3, 6, 5


class People:
    """Some clients with histories and contexts, at random; two features of three and two values."""

    def __init__(self, seed: int, count: int = 4) -> None:
        random = np.random.default_rng(seed)
        self.vectors = random.normal(size=(VALUES, DIM)).astype(np.float32)
        self.Q = random.normal(size=(ITEMS, DIM)).astype(np.float32)
        self.p = random.normal(size=(count, DIM)).astype(np.float32)
        self.histories = [
            random.choice(ITEMS, random.integers(1, ITEMS), replace=False).astype(np.int32) for _ in range(count)
        ]
        self.contexts = [
            np.column_stack([random.integers(-1, 3, len(h)), random.choice([-1, 3, 4], len(h))]).astype(np.int32)
            for h in self.histories
        ]

    def update(self, exponent: float = 0.0, some: slice = slice(None)) -> ClientUpdate:
        return context_update(
            self.vectors,
            self.Q,
            self.Q.T @ self.Q,
            self.p[some],
            self.histories[some],
            self.contexts[some],
            ALPHA,
            exponent,
        )

    def loss(self, vectors: np.ndarray, exponent: float) -> float:
        """L as it is written, a meeting and an item at a time, in double precision."""
        total, Q = 0.0, self.Q.astype(np.float64)
        for p, history, contexts in zip(self.p.astype(np.float64), self.histories, self.contexts, strict=True):
            n = len(history)
            for item, context in zip(history, contexts, strict=True):
                query = p + sum((vectors[place] for place in context if place >= 0), np.zeros(DIM))
                total += n**-exponent * ((1 - query @ Q[item]) ** 2 + ALPHA / n * sum((query @ q) ** 2 for q in Q))
        return total


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.7]))
def test_the_sum_is_half_the_gradient_of_the_loss(seed: int, exponent: float) -> None:
    """By central differences in double precision, exact for a quadratic."""
    people = People(seed)
    update, at = people.update(exponent), people.vectors.astype(np.float64)
    expected = np.zeros((VALUES, DIM))
    for place in np.ndindex(VALUES, DIM):
        moved = np.zeros((VALUES, DIM))
        moved[place] = 0.5
        expected[place] = (people.loss(at + moved, exponent) - people.loss(at - moved, exponent)) / 2
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(update.sums["context_gradient"], expected, atol=1e-4 * scale)
    assert update.loss == pytest.approx(people.loss(at, exponent), rel=1e-4)


@given(st.integers(0, 10_000))
def test_counts_and_shares_are_of_the_meetings_with_each_value(seed: int) -> None:
    people = People(seed)
    counts, shares = np.zeros(VALUES), np.zeros(VALUES)
    for contexts in people.contexts:
        for place in contexts[contexts >= 0]:
            counts[place] += len(contexts) ** -0.5
            shares[place] += len(contexts) ** -1.5
    sums = people.update(0.5).sums
    np.testing.assert_allclose(sums["context_counts"], counts, rtol=1e-5)
    np.testing.assert_allclose(sums["context_shares"], shares, rtol=1e-5)


@given(st.integers(0, 10_000))
def test_the_sums_of_two_cohorts_are_those_of_both_together(seed: int) -> None:
    people = People(seed)
    apart = people.update(some=slice(0, 1)) + people.update(some=slice(1, None))
    together = people.update()
    for name, array in together.sums.items():
        np.testing.assert_allclose(apart.sums[name], array, rtol=1e-4, atol=1e-4)
    assert apart.clients == together.clients


def test_what_a_client_sends_has_one_size_whoever_it_is() -> None:
    sizes = {People(seed, 1).update().uplink_bytes for seed in range(10)} | {People(0, 9).update().uplink_bytes}
    assert sizes == {4 * (VALUES * DIM + 2 * VALUES) + 8}


def test_the_step_is_the_minimum_where_the_curvature_is_exact() -> None:
    """One item, one feature, each meeting with one value: M is q qᵀ, and Newton's step ends at the solution."""
    people = People(3)
    people.Q = people.Q[:1]
    people.histories = [np.zeros(1, np.int32) for _ in people.histories]
    people.contexts = [np.array([[place % 3]], np.int32) for place in range(len(people.histories))]
    chosen = ContextSettings(features=("hour",), regularization=0.5)
    counts = np.array([4], np.float32)

    after = context_step(people.vectors, people.update(), people.Q, counts, ALPHA, chosen)

    people.vectors = after
    np.testing.assert_allclose(people.update().sums["context_gradient"] + 0.5 * after, 0, atol=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_one_row_of_the_step_is_what_the_formula_says(seed: int) -> None:
    people = People(seed)
    counts = np.arange(ITEMS, dtype=np.float32)
    chosen = ContextSettings(features=("hour", "weekday"), regularization=2.0)
    update = people.update()

    after = context_step(people.vectors, update, people.Q, counts, ALPHA, chosen)

    Q = people.Q.astype(np.float64)
    M = sum(c * np.outer(q, q) for c, q in zip(counts, Q, strict=True)) / counts.sum()
    for v in range(VALUES):
        k, s = update.sums["context_counts"][v], update.sums["context_shares"][v]
        H = k * M + ALPHA * s * Q.T @ Q + 2.0 * np.eye(DIM)
        g = update.sums["context_gradient"][v] + 2.0 * people.vectors[v]
        np.testing.assert_allclose(after[v], people.vectors[v] - np.linalg.inv(H) @ g / 2, rtol=1e-3, atol=1e-4)


def by_the_hour(people: int = 120, items: int = 24, seed: int = 5) -> Split:
    """Everybody takes the first half of the items in the morning and the second in the evening, whichever of them.

    Half the people are mostly there in the morning, the others in the evening.
    """
    random = np.random.default_rng(seed)
    histories: list[list[int]] = []
    times: list[float] = []
    for person in range(people):
        mornings, evenings = (8, 2) if person % 2 else (2, 8)
        early, late = (random.permutation(items // 2) for _ in range(2))
        histories.append([*early[:mornings].tolist(), *(items // 2 + late[:evenings]).tolist()])
        times.extend([8 * 3600.0] * mornings + [20 * 3600.0] * evenings)
    met_at = Meetings(np.array(times), (), np.full(len(times), -1, np.int32))
    nothing, never = Histories.of([()] * people), Meetings(np.empty(0), (), np.empty(0, np.int32))
    return Split(
        ItemVocabulary(str(row) for row in range(items)),
        tuple(str(person) for person in range(people)),
        Histories.of(histories),
        nothing,
        nothing,
        meetings=SplitMeetings(met_at, never, never),
    )


def test_where_what_people_want_depends_on_the_hour_alone_the_context_says_it() -> None:
    split = by_the_hour()
    chosen = ContextSettings(features=("hour",), regularization=1.0, rounds=4)
    run = prepare(split, TrainingSettings(dim=4, rounds=4, cohort=50, context=chosen))
    *_, (state, _) = run.rounds(run.start(), validate=False)
    Q = run.item_vectors(state)

    trained = run.context(state, {})

    assert trained is not None
    right = {"with": 0, "without": 0}
    for p, history in zip(fold_in_many(Q, Q.T @ Q, list(split.train), run.fold_in), split.train, strict=True):
        for hour in ("8", "20"):
            for name, query in (("without", p), ("with", trained.query_tower.query(p, {"hour": hour}))):
                scores = Q @ query
                scores[history] = -np.inf
                top = np.argsort(-scores)[:4]
                right[name] += int(((top < 12) if hour == "8" else (top >= 12)).sum())
    asked = 2 * 4 * 120
    assert right["with"] > 0.9 * asked
    assert right["without"] == asked / 2  # one list for both hours: what is right at one is wrong at the other
    assert list(trained.losses) == sorted(trained.losses, reverse=True)
    assert trained.losses[-1] < 0.95 * trained.losses[0]
    assert trained.uplink_bytes_per_client == 4 * (4 * (24 * 4 + 2 * 24) + 8)
    assert not trained.query_tower.vectors[ContextValue("hour", "3")].any()


def test_the_weight_scales_the_vectors_and_cohorts_change_only_rounding() -> None:
    random = np.random.default_rng(0)
    Q, train = random.normal(size=(ITEMS, DIM)).astype(np.float32), Histories.of([[0, 1], [], [2], [3, 4, 5], [1]])
    rows = random.integers(-1, 24, (len(train.rows), 1)).astype(np.int32)

    def trained(cohort: int, weight: float) -> np.ndarray:
        chosen = ContextSettings(features=("hour",), weight=weight)
        values = chosen.values(())
        counts = np.ones(ITEMS, np.float32)
        tower = train_context(Q, counts, train, rows, values, FoldInSettings(ALPHA, 0.1), cohort, 7, chosen).query_tower
        return np.array([tower.vectors[value] for value in values])

    np.testing.assert_allclose(trained(2, 1.0), trained(9, 1.0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(trained(9, 0.5), trained(9, 1.0) / 2, rtol=1e-6)
    assert trained(9, 1.0).any()


def test_as_many_contexts_as_entries_are_asked_for() -> None:
    with pytest.raises(BadInput, match="got 1 entries and 2 contexts"):
        train_context(
            np.ones((2, 2), np.float32),
            np.ones(2, np.float32),
            Histories.of([[0]]),
            np.zeros((2, 1), np.int32),
            (),
            FoldInSettings(0.1, 0.1),
            1,
            0,
            ContextSettings(features=("hour",)),
        )


def test_without_the_setting_nobody_sends_anything_and_without_times_it_is_refused() -> None:
    empty = Histories.of([()])
    split = Split(ItemVocabulary(["a", "b"]), ("u",), Histories.of([[0]]), empty, empty)
    run = prepare(split, TrainingSettings(dim=2))
    assert run.context(run.start(), {}) is None
    with pytest.raises(BadInput, match="this split has"):
        prepare(split, TrainingSettings(dim=2, context=ContextSettings(features=("hour",))))
