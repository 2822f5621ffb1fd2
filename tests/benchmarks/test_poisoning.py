"""The poisoning benchmark: its attacks are the best of their kind, succeed where nothing holds them, and not else."""

from functools import partial

import numpy as np
import pytest

from benchmarks.poisoning import (
    DEFENCES,
    DIRECTIONS,
    cell,
    chosen,
    device,
    exposures,
    fillers,
    measure_poisoning,
    run_attacked,
    scene,
    unpopular,
)
from benchmarks.poisoning_attacks import (
    FILLERS,
    Direction,
    Knowledge,
    chosen_history,
    guess,
    sent_by_cell,
    sent_by_device,
    times,
    with_fillers,
)
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many
from feature_store.vocabulary import ItemVocabulary
from tests.training.worlds import checkerboard
from training.histories import Histories
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split
from training.streaming import streamed_update
from training.user_bound import UNBOUNDED, UserBound

WEIGHTS = FoldInSettings(0.2, 0.01)
TARGET = 60


def world() -> Split:
    """A checkerboard, and one item more that two people have met."""
    split = checkerboard(people=200, items=60, met=14)
    train = [
        np.append(rows, TARGET).astype(np.int32) if who in {0, 2} else rows for who, rows in enumerate(split.train)
    ]
    vocabulary = ItemVocabulary(f"item-{row}" for row in range(61))
    return Split(vocabulary, split.user_ids, Histories.of(train), split.valid, split.test)


SPLIT = world()
SCENE = scene(SPLIT, TARGET, seed=1)
SHAPE = {"dim": 8, "rounds": 12, "alpha": 0.3, "patience": 0}
PUSHING = partial(device, length=8.0, direction="newton")
FREE, BOUND = {"curvature": {"row_bound": None}}, {"curvature": {"row_bound": 0.25}}


def test_devices_without_a_bound_put_an_item_before_everybody_and_nobody_meets_it_otherwise() -> None:
    quiet, attacked = (run_attacked(SCENE, SHAPE | FREE, attack) for attack in (None, PUSHING))
    assert quiet.exposure < 0.01
    assert attacked.exposure > 0.95
    assert attacked.ndcg < 0.9 * quiet.ndcg


def test_the_same_devices_are_held_by_a_bound_on_rows_that_costs_the_others_nothing() -> None:
    quiet, attacked = (run_attacked(SCENE, SHAPE | BOUND, attack) for attack in (None, PUSHING))
    assert attacked.exposure < 0.1
    free = run_attacked(SCENE, SHAPE | FREE, None)
    assert min(quiet.ndcg, attacked.ndcg) > 0.98 * free.ndcg


def test_people_of_an_honest_cell_get_next_to_nowhere_by_their_histories_alone() -> None:
    attacks = (fillers, *(partial(chosen, direction=way) for way in DIRECTIONS))
    assert max(run_attacked(SCENE, SHAPE | FREE, attack).exposure for attack in attacks) < 0.05


def test_a_malicious_cell_is_not_held_by_what_cells_bound() -> None:
    assert run_attacked(SCENE, SHAPE | BOUND, partial(cell, length=8.0, direction="newton")).exposure > 0.95


def knowledge(bound: UserBound = UNBOUNDED) -> Knowledge:
    return Knowledge(TARGET, SCENE.known, 210, WEIGHTS, 0.3, bound)


def trained() -> np.ndarray:
    run = prepare(SPLIT, TrainingSettings.model_validate(SHAPE))
    *_, (state, _) = run.rounds(run.start(), validate=False)
    return run.item_vectors(state)


@pytest.mark.parametrize("bound", [UNBOUNDED, UserBound(row=0.1)], ids=["free", "bounded"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_item_of_a_chosen_history_is_the_one_with_which_its_update_goes_furthest(
    direction: Direction, bound: UserBound
) -> None:
    vectors = trained()
    found = guess(vectors, knowledge(bound))
    history = chosen_history(vectors, knowledge(bound), found, direction)
    push = found.push(direction)

    def worth(*rows: int) -> float:
        met = [np.array(rows, np.int32)]
        update = streamed_update(vectors, met, WEIGHTS, activity_exponent=0.3, bound=bound)
        return float(-update.sums["item_gradient"][TARGET] @ push)

    def best_added(*rows: int) -> float:
        return max(worth(*rows, other) for other in range(61) if other not in rows)

    assert history[0] == TARGET
    for place in range(1, min(len(history), 3)):
        assert worth(*history[: place + 1]) == pytest.approx(best_added(*history[:place]), rel=1e-4)
    assert best_added(*history) <= worth(*history) * 1.0001  # it ends where nothing helps
    assert len(set(history.tolist())) == len(history)


def test_attackers_want_the_mean_of_those_who_are_not_shown_the_target_yet() -> None:
    vectors = trained()
    gram = vectors.T @ vectors
    embeddings = np.array([fold_in(vectors, gram, history, WEIGHTS) for history in SCENE.known])
    found = guess(vectors, knowledge())
    np.testing.assert_allclose(found.wanting, embeddings.mean(axis=0), rtol=1e-3, atol=1e-5)  # it is shown to nobody
    loved = np.array(vectors)
    loved[TARGET] = 3 * embeddings[0] / np.linalg.norm(embeddings[0])
    some = guess(loved, knowledge()).wanting
    people = fold_in_many(loved, loved.T @ loved, list(SCENE.known), WEIGHTS)
    assert some @ loved[TARGET] < people.mean(axis=0) @ loved[TARGET] - 0.01


def test_what_devices_send_is_what_a_newton_step_of_the_server_takes_to_their_goal() -> None:
    vectors = trained()
    found = guess(vectors, knowledge())
    for direction in DIRECTIONS:
        sent = sent_by_device(vectors, knowledge(), found, devices=10, length=3.0, direction=direction)
        together = times(sent, 10).sums["item_gradient"]
        moved = vectors[TARGET] - np.linalg.solve(found.curvature, together[TARGET])
        assert np.linalg.norm(moved) == pytest.approx(3, rel=1e-3)
        np.testing.assert_allclose(moved / 3, found.toward(direction), atol=1e-3)
        assert not np.delete(together, TARGET, axis=0).any()


def test_a_cell_sends_no_number_that_the_layout_refuses() -> None:
    vectors = trained()
    sent = sent_by_device(vectors, knowledge(), guess(vectors, knowledge()), 10, 100.0, "newton")
    free = sent_by_cell(sent, 5, most=np.inf)
    np.testing.assert_allclose(free.sums["item_gradient"], 5 * sent.sums["item_gradient"], rtol=1e-6)
    held = sent_by_cell(sent, 5, most=0.5)
    assert np.abs(held.sums["item_gradient"]).max() == pytest.approx(0.5, rel=1e-5)
    assert (free.clients, held.clients) == (5, 5)


def test_fillers_are_popular_and_with_the_target_in_each_history() -> None:
    counts = np.array([0, 1000, 1000, 1000, 1, 2])
    histories = with_fillers(5, np.concatenate([counts, np.full(30, 50)]), 40, np.random.default_rng(3))
    assert len(histories) == 40
    for history in histories:
        assert len(set(history.tolist())) == len(history) == FILLERS + 1
        assert 5 in history
        assert 0 not in history
    popular = np.mean([np.isin([1, 2, 3], history).mean() for history in histories])
    assert popular > 0.95
    assert np.mean([np.isin(range(6, 36), history).mean() for history in histories]) < 0.7


def test_exposure_is_the_share_of_those_who_have_not_met_an_item_and_are_shown_it() -> None:
    run = prepare(SPLIT, TrainingSettings.model_validate(SHAPE))
    vectors = trained()
    parts = (SPLIT.train, SPLIT.valid, SPLIT.test)
    shown, unmet = np.zeros(61), np.zeros(61)
    for person in range(200):
        embedding = fold_in(vectors, vectors.T @ vectors, SPLIT.train[person], run.fold_in)
        scores = vectors @ embedding
        scores[np.concatenate([SPLIT.train[person], SPLIT.valid[person]])] = -np.inf
        is_unmet = ~np.isin(np.arange(61), np.concatenate([part[person] for part in parts]))
        unmet += is_unmet
        shown += np.isin(np.arange(61), np.argsort(-scores)[:10]) & is_unmet
    np.testing.assert_allclose(exposures(SPLIT, run, vectors), shown / unmet, atol=0.006)  # one near tie in 190


def test_targets_are_items_that_a_few_have_met_and_there_have_to_be_enough() -> None:
    assert unpopular(SPLIT, 1) == [TARGET]
    with pytest.raises(BadInput, match="2 targets are asked for; 1 items"):
        unpopular(SPLIT, 2)


def test_a_scene_adds_five_percent_whom_nobody_judges() -> None:
    assert (SCENE.honest, SCENE.malicious) == (200, 10)
    assert all(TARGET in SCENE.split.train[person] for person in range(200, 210))
    assert not SCENE.split.test.lengths[200:].any()
    assert not SCENE.split.valid.lengths[200:].any()


def test_the_figures_are_those_of_the_attack_that_a_defence_meets_worst() -> None:
    defences = {name: DEFENCES[name] for name in ("none", "trimmed mean of groups of 10")}
    figures = measure_poisoning(
        SPLIT,
        targets=1,
        seeds=(1,),
        rounds=6,
        dim=8,
        report=lambda _: None,
        defences=defences,
        lengths=(8.0,),
    )
    assert figures["targets"] == ["item-60"]
    assert (figures["people"], figures["malicious"]) == (200, 10)
    free, trimmed = figures["defences"].values()
    assert set(free) == {"nobody", "fillers", "chosen", "device", "cell"}
    assert set(trimmed) == set(free) - {"cell"}
    shape = {"rounds": 6, "dim": 8, "patience": 0} | FREE
    both = [run_attacked(SCENE, shape, partial(device, length=8.0, direction=way)).exposure for way in DIRECTIONS]
    assert free["device"]["exposure"] == max(both)
    assert free["nobody"]["exposure"] < 0.05
