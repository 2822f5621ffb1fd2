"""Compressed rounds between cells: the numbers of the simulation, under masks as well, in the bytes that are told."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.errors import BadInput
from tests.training.federation.local_cells import (
    HELD_OUT,
    PARTS,
    RUN_ID,
    SPLIT,
    LocalExchange,
    in_order,
    local_cells,
)
from tests.training.federation.secure_cells import PINNED, THREE, RecordingExchange, secure_cells
from training.compression.announcement import announced
from training.compression.settings import CompressionSettings
from training.compression.sizes import uplink_bytes
from training.federation.adding import Adding, plainly
from training.federation.compressed_rounds import announcement_of, compressed_task
from training.federation.errors import Refused
from training.federation.exchange import Exchange
from training.federation.federated_run import FederatedRun, loss_settings, prepare_federated
from training.federation.fixed_sums import largest_error, layout_of
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.forms import form_of
from training.federation.secure_adding import Securely
from training.federation.tasks import CompressedTask
from training.federation.wire import task_from_bytes, task_to_bytes
from training.histories import Histories
from training.item_features import ItemFeatures
from training.loop import run_rounds
from training.settings import TrainingSettings
from training.transport import Cell, Cohorts, Simulation

NONE = np.empty(0, np.uint8)


def settings(compression: dict[str, Any]) -> TrainingSettings:
    return TrainingSettings.model_validate(
        {"dim": 8, "alpha": 0.2, "rounds": 5, "patience": 0, "compression": compression}
    )


def federated(exchange: Exchange, adding: Adding = plainly, **compression: Any) -> FederatedRun:
    given, traffic = settings(compression), Traffic()
    taken_up = take_up(exchange, RUN_ID, SPLIT.vocabulary, HELD_OUT, 2, traffic, adding=adding)
    cohorts = Cohorts(given.cohort, taken_up.clients, given.seed)
    loss = loss_settings(given, 40)
    transport = FlowerTransport(exchange, RUN_ID, taken_up, cohorts, loss, 2, traffic, adding=adding)
    return prepare_federated(SPLIT.vocabulary, ItemFeatures(40), given, transport)


def simulated(run: FederatedRun, parts: dict[str, range]) -> np.ndarray:
    cells = []
    for people in parts.values():
        train = Histories.of(SPLIT.train[person] for person in in_order(people))
        cells.append(Cell(train, np.arange(len(train))))
    simulation = Simulation(run.algorithm, cells, Cohorts(60, 60, 7))
    *_, (state, _) = run_rounds(run.algorithm, simulation, run.start(), rounds=5)
    return run.item_vectors(state)


def test_rounds_over_two_cells_that_are_seen_give_the_checkpoint_of_the_simulation(tmp_path: Path) -> None:
    run = federated(LocalExchange(local_cells(tmp_path)), rows=0.5)
    *_, (state, report) = run.rounds(run.start())
    assert np.array_equal(run.item_vectors(state), simulated(run, PARTS))
    assert report.cohort == 60
    assert report.uplink_bytes_per_client == uplink_bytes(5, 40, 8, CompressionSettings(rows=0.5))


def test_rounds_under_masks_give_it_up_to_the_rounding_of_the_sums_that_are_no_words(tmp_path: Path) -> None:
    exchange = RecordingExchange(secure_cells(tmp_path).cells)
    run = federated(exchange, Securely(PINNED), rows=0.5)
    *_, (state, _) = run.rounds(run.start())
    expected = simulated(run, dict(THREE))
    moved = np.abs(expected - run.item_vectors(run.start())).max()
    np.testing.assert_allclose(run.item_vectors(state), expected, rtol=0, atol=1e-5 * moved)


@pytest.mark.parametrize("steps", [NONE, np.where(np.arange(40) % 3, 150, 0).astype(np.uint8)], ids=["survey", "round"])
def test_what_cells_send_keeps_to_the_bounds_of_the_task_and_takes_the_bytes_that_are_told(
    tmp_path: Path, steps: np.ndarray
) -> None:
    cells = local_cells(tmp_path)
    run = federated(LocalExchange(cells))
    vectors = np.random.default_rng(2).standard_normal((40, 8)).astype(np.float32) * 3
    asked = announced(vectors, steps, CompressionSettings(rows=26 / 40))
    task = compressed_task(asked, RUN_ID, 3, 60, run.transport.loss)
    form = form_of(task_from_bytes(task_to_bytes(task)))
    for cell in cells.values():
        asyncio.run(cell.sums(task)).require(form)
    masked = layout_of(form, 3).numbers * 2
    told = uplink_bytes(1 if asked.is_survey else 2, 40, 8, CompressionSettings(rows=26 / 40))
    assert told == masked
    if asked.is_survey:
        assert largest_error(form, "item_counts", 3) < 0.1
        assert largest_error(form, "row_lengths", 3) < 1e-4
    else:
        assert largest_error(form, "words", 3) == 1.5  # of steps of 1, that whole numbers meet exactly


def test_an_announcement_comes_out_of_its_task_as_it_went_in() -> None:
    vectors = np.random.default_rng(2).standard_normal((40, 8)).astype(np.float32)
    asked = announced(vectors, np.arange(40, dtype=np.uint8), CompressionSettings(levels=3, cells=7))
    task = task_from_bytes(task_to_bytes(compressed_task(asked, RUN_ID, 3, 60, loss_settings(settings({}), 40))))
    assert isinstance(task.header, CompressedTask)
    found = announcement_of(task.header, task.arrays)
    assert np.array_equal(found.vectors, asked.vectors)
    assert np.array_equal(found.steps, asked.steps)
    assert (found.levels, found.cells) == (3, 7)


def test_a_task_whose_scales_or_steps_are_not_its_tables_is_refused() -> None:
    asked = announced(np.ones((40, 8), np.float32), NONE, CompressionSettings())
    loss = loss_settings(settings({}), 40)
    for wrong in (asked._replace(scales=asked.scales[1:]), asked._replace(steps=np.ones(39, np.uint8))):
        task = compressed_task(wrong, RUN_ID, 3, 60, loss)
        assert isinstance(task.header, CompressedTask)
        with pytest.raises(Refused, match="a table of 40 items has a scale each, and steps for each or for none"):
            announcement_of(task.header, task.arrays)


def test_more_cells_than_the_words_have_room_for_and_tables_of_float32_are_refused(tmp_path: Path) -> None:
    cells = {f"{name}-{place}": cell for place in "12" for name, cell in local_cells(tmp_path / place).items()}
    with pytest.raises(BadInput, match="room for 3 cells, and 4 take part"):
        federated(LocalExchange(cells))
    with pytest.raises(BadInput, match="travel between processes as int8"):
        federated(LocalExchange(local_cells(tmp_path / "3")), table="float32")
