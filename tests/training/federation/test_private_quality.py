"""What privacy costs in ranking where three cells add the noise, on MovieLens-1M."""

import os
from pathlib import Path

import pytest

from tests.training.federation.private_cells import (
    PrivateExchange,
    in_the_clear,
    private_cells,
    run_over,
    transport_to,
    under_masks,
)
from tests.training.federation.secure_cells import PINNED
from training.cohort import population
from training.evaluation import evaluate, fold_in_scorer
from training.federation.adding import plainly
from training.federation.secure_adding import Securely
from training.settings import TrainingSettings
from training.split_folder import read_split_folder

SETTINGS = TrainingSettings.model_validate({"dim": 64, "privacy": {"epsilon": 8.0, "delta": 1e-5}})


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="HEARTH_DATA names the folder with split_ml1m")
@pytest.mark.parametrize(("masked", "noise_cells", "least"), [(True, 2, 0.325), (False, 1, 0.31)])
def test_three_cells_at_an_epsilon_of_eight_rank_nearly_as_one_place_does(
    tmp_path: Path, *, masked: bool, noise_cells: int, least: float
) -> None:
    split = read_split_folder(Path(os.environ["HEARTH_DATA"]) / "split_ml1m").judged
    people = len(population(split.train))
    parts = {name: range(first * people // 3, (first + 1) * people // 3) for first, name in enumerate(sorted(PINNED))}
    cells = private_cells(tmp_path, split=split, parts=parts)
    exchange = PrivateExchange(under_masks(cells, tmp_path) if masked else in_the_clear(cells))
    adding = Securely(PINNED) if masked else plainly
    private = transport_to(exchange, noise_cells, adding, settings=SETTINGS, split=split)
    run = run_over(private, SETTINGS, split)
    state = run.start()
    for after, _ in run.rounds(state):
        state = after
    fold_in = private.transport.loss.fold_in
    score = fold_in_scorer(run.item_vectors(state), split.train, fold_in)
    found = evaluate(score, len(split.vocabulary), split.test, split.met_before_test)
    traffic = private.transport.traffic
    assert traffic.uplink < 9e6  # bytes of three cells, three sums
    assert found.ndcg > least
