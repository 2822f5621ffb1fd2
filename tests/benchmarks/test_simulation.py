"""The speed benchmark: three ways to compute one round, and whether they are the same computation."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.numpy_client import one_by_one, one_client
from benchmarks.simulation import REPETITIONS, client_operations, measure_simulation
from benchmarks.synthetic import synthetic_split
from feature_store.fold_in import FoldInSettings, fold_in
from hearth.commands.bench_simulation import show_simulation
from tests.benchmarks.tastes import two_tastes
from tests.hearth.command import Command
from training.reconstruction import curvature_update
from training.split_folder import read_split_folder

DATA = os.environ.get("HEARTH_DATA")
WEIGHTS = FoldInSettings(0.3, 0.02)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure_simulation(two_tastes(), dim=4, cohort=20, report=lambda _: None, flower=False)


def test_the_plain_client_computes_the_same_update_by_other_code() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((40, 6)).astype(np.float32)
    histories = [random.permutation(40)[:n].astype(np.int32) for n in (1, 5, 30)]
    plain, ours = one_by_one(vectors, histories, WEIGHTS), curvature_update(vectors, histories, WEIGHTS)
    assert plain.clients == ours.clients == 3
    assert plain.loss == pytest.approx(ours.loss, rel=1e-5)
    for name, array in ours.sums.items():
        np.testing.assert_allclose(plain.sums[name], array, rtol=1e-4, atol=1e-5)
    alone = one_client(vectors, vectors.T @ vectors, histories[1], WEIGHTS).sums["user_gram"]
    embedding = fold_in(vectors, vectors.T @ vectors, histories[1], WEIGHTS)
    np.testing.assert_allclose(alone, np.outer(embedding, embedding), rtol=1e-4, atol=1e-6)


def test_the_operations_of_a_client_are_those_of_a_direct_solution() -> None:
    """One client with two items at dim 3, one kind of operation after the other."""
    triangle, cholesky, solves = 2 * (3 * 4 / 2) * 2, 27 / 3, 2 * (3 * 3 * 2)
    right, scores, gradient, gram = 2 * 3, 2 * (2 * 3), 2 * (2 * 3), (3 * 4 / 2) * 2
    by_hand = triangle + cholesky + solves + right + scores + gradient + gram
    assert client_operations(np.array([2]), 3) == pytest.approx(by_hand)
    assert client_operations(np.array([2, 5]), 64) == pytest.approx(client_operations(np.array([7, 0]), 64))


def test_every_figure_is_there_with_its_side_and_can_be_written_as_json(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["data"] == {"clients": 20, "items": 30, "entries": 20 * 7, "dim": 4}
    for side in measured["sides"].values():
        assert len(side["seconds"]) == len(side["cpu_seconds"]) == REPETITIONS
        assert side["clients_per_second"] == pytest.approx(20 / min(side["seconds"]))
        assert side["peak_memory_mb"] > 10
    speeds = {name: side["clients_per_second"] for name, side in measured["sides"].items()}
    assert measured["ratios"] == {"numpy": pytest.approx(speeds["vectorised"] / speeds["numpy"])}
    floor = measured["floor"]
    assert floor["operations_per_client"] == client_operations(np.full(20, 7), 4) / 20
    assert floor["share_reached"] == pytest.approx(
        floor["floor_seconds"] / min(measured["sides"]["vectorised"]["seconds"])
    )
    assert measured["largest_difference"]["numpy"] < 1e-5


def test_the_table_shows_speeds_ratios_and_the_share_reached(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    show_simulation(measured)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{measured['sides']['numpy']['clients_per_second']:,.0f}" in shown
    assert f"{measured['ratios']['numpy']:.1f}" in shown
    assert f"share reached: {measured['floor']['share_reached']:.0%}" in shown


def test_the_synthetic_split_has_the_size_of_the_published_one() -> None:
    """MovieLens-1M's train part: 6,039 people, 3,628 items, a median of 57 items and a mean of 98."""
    train = synthetic_split().train
    assert (len(train), train.rows.min(), train.rows.max()) == (6039, 0, 3627)
    assert np.median(train.lengths) == pytest.approx(57, rel=0.15)
    assert train.lengths.mean() == pytest.approx(98, rel=0.15)
    assert all(len(set(rows.tolist())) == len(rows) > 0 for rows in train)
    counts = np.sort(np.bincount(train.rows, minlength=3628))[::-1]
    assert counts[:363].sum() > 0.35 * counts.sum()  # a tenth of the items has much of all there is


@pytest.mark.slow
def test_the_command_runs_flower_too_and_all_sides_agree(tmp_path: Path) -> None:
    arguments = ("bench", "simulation", "--cohort", "20", "--dim", "8", "--tensorflow", "--json")
    figures = Command(tmp_path).run(*arguments).json()
    assert figures["data"]["source"] == "synthetic"
    others = {"numpy", "flower", "tensorflow", "tensorflow_xla", "tensorflow_mixed"}
    assert figures["ratios"].keys() == others
    differences = figures["largest_difference"]
    assert all(differences[name] < 1e-4 for name in others - {"tensorflow_mixed"})
    assert 1e-4 < differences["tensorflow_mixed"] < 0.05
    assert figures["ratios"]["flower"] > 10


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="HEARTH_DATA does not name the folder of the real data sets")
def test_ours_is_many_times_faster_than_a_loop_on_movielens() -> None:
    """Half of what docs/performance.md reports: a busy machine gives two threads less than a loop."""
    split = read_split_folder(Path(str(DATA)) / "split_ml1m")
    measured = measure_simulation(split, dim=64, cohort=600, report=lambda _: None, flower=False)
    assert measured["ratios"]["numpy"] > 12
