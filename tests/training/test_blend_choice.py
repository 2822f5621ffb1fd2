"""The weight of popularity follows the validation items, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.blend import BlendSettings
from feature_store.fold_in import FoldInSettings
from feature_store.vocabulary import ItemVocabulary
from training.blend_choice import WEIGHTS, WITHOUT_VALIDATION, blended_scorer, choose_blend, known_part
from training.evaluation import fold_in_scorer
from training.histories import Histories
from training.split import Split

LOSS = FoldInSettings(alpha=0.05, regularization=0.01)
ITEMS, PEOPLE = 60, 40
EVENS = np.eye(2, dtype=np.float32)[np.arange(ITEMS) % 2]  # item vectors of a taste for even items, and one for odd
NOISE = np.random.default_rng(0).normal(size=(ITEMS, 6)).astype(np.float32)


def a_split(valid: list[list[int]]) -> Split:
    """Person u has met 12 items of the parity of u, among the last 40; `valid` is of each parity."""
    random = np.random.default_rng(1)
    train = [random.choice(np.arange(20 + u % 2, ITEMS, 2), 12, replace=False) for u in range(PEOPLE)]
    return Split(
        ItemVocabulary(f"item-{row}" for row in range(ITEMS)),
        tuple(f"person-{u}" for u in range(PEOPLE)),
        Histories.of(train),
        Histories.of(valid[u % 2] for u in range(PEOPLE)),
        Histories.of([()] * PEOPLE),
    )


def counts_of(popular: list[int]) -> np.ndarray:
    counts = np.ones(ITEMS, np.float32)
    counts[popular] = PEOPLE
    return counts


def test_where_vectors_say_nothing_and_all_meet_what_is_popular_it_weighs_as_much_as_it_may() -> None:
    blend = choose_blend(NOISE, counts_of([0, 1, 2]), BlendSettings(0.0, PEOPLE), LOSS, a_split([[0, 1, 2], [0, 1, 2]]))

    assert blend.people == PEOPLE
    assert blend.weight >= 1.0


def test_where_people_follow_their_taste_against_what_is_popular_it_weighs_nothing() -> None:
    taste = a_split([[0, 2, 4, 6], [1, 3, 5, 7]])
    against = counts_of(list(range(8, 20)))

    assert choose_blend(EVENS, against, BlendSettings(0.0, PEOPLE), LOSS, taste).weight == WEIGHTS[0] == 0.0


def test_test_items_choose_nothing() -> None:
    split = a_split([[0, 1, 2], [0, 1, 2]])
    other = replace(split, test=Histories.of([[rows[0] + 3] for rows in split.valid]))

    chosen = [choose_blend(NOISE, counts_of([0, 1, 2]), BlendSettings(0.0, PEOPLE), LOSS, of) for of in (split, other)]

    assert chosen[0] == chosen[1]


def test_without_validation_items_the_weight_is_a_fixed_one() -> None:
    blend = choose_blend(EVENS, counts_of([]), BlendSettings(0.0, PEOPLE), LOSS, a_split([[], []]))

    assert blend == BlendSettings(WITHOUT_VALIDATION, PEOPLE)


@given(
    st.lists(st.lists(st.integers(0, 30), unique=True), min_size=1, max_size=5), st.integers(1, 8), st.integers(0, 9)
)
def test_the_known_part_is_a_sample_of_each_history(histories: list[list[int]], known: int, seed: int) -> None:
    part = known_part(Histories.of(histories), known, seed)

    for rows, kept in zip(histories, part, strict=True):
        assert len(kept) == min(known, len(rows)) == len(set(kept.tolist()))
        assert set(kept.tolist()) <= set(rows)
    again = known_part(Histories.of(histories), known, seed)
    assert part.rows.tolist() == again.rows.tolist()


def test_other_seeds_and_other_people_know_other_items() -> None:
    everything = Histories.of([range(30)] * 20)
    first, second = (known_part(everything, 3, seed) for seed in (0, 1))

    assert first.rows.tolist() != second.rows.tolist()
    assert len({tuple(rows) for rows in first}) > 10


def test_scores_take_the_number_of_items_known_of_each_person() -> None:
    met = Histories.of([[4], list(range(9)), []])
    counts, blend = counts_of([7]), BlendSettings(0.5, PEOPLE)
    clients = np.array([2, 0, 1])

    scores = blended_scorer(EVENS, counts, LOSS, met, blend)(clients)

    personal, popular = fold_in_scorer(EVENS, met, LOSS)(clients), counts / PEOPLE
    for row, known in enumerate([0, 1, 9]):
        expected = (np.sqrt(known) * personal[row] + 0.5 * popular) / (np.sqrt(known) + 0.5)
        assert scores[row] == pytest.approx(expected, abs=1e-6)
