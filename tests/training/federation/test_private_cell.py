"""What a cell releases with noise: paid for before it is drawn, drawn once, and bounded whatever the server asks."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feature_store.arrays import Float32Array, Float64Array
from feature_store.vocabulary import ItemVocabulary
from tests.training.federation.local_cells import LOSS
from tests.training.federation.private_cells import PARTS, RUN_ID, SPLIT, Cells, filled, private_cells
from training.federation.cell import TrainingCell
from training.federation.private_cell import CellReleases
from training.federation.tasks import (
    AdoptionTask,
    EvaluationTask,
    PopulationTask,
    PrivateTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    SumsHeader,
    Task,
    TaskMessage,
)
from training.federation.wire import item_ids_to_array, reply_from_bytes, task_to_bytes
from training.privacy.ledger import Budget, Entry, FileLedger
from training.privacy.question import Question
from training.privacy.release import COUNTS, GRAM

BUDGET = Budget(epsilon=8, delta=1e-5)
BEGIN = PopulationTask(run_id=RUN_ID, held_out=0.0, private=True)
COUNTING = PrivateTask(run_id=RUN_ID, items=40, population=300, deviation=3.0, noise_cells=1, left=2.0)
VECTORS = np.ones((40, 4), np.float32)
NOTHING = {"popularity": np.empty(0, np.float32), "directions": np.empty((0, 0), np.float32)}
POPULARITY = np.linspace(9, 1, 40, dtype=np.float32)


def asked(cell: TrainingCell, header: Task, **given: object) -> ReplyMessage:
    return reply_from_bytes(asyncio.run(cell.answer(task_to_bytes(TaskMessage(header, given)))))  # type: ignore[arg-type]  # arrays


def begun(cells: Cells, name: str = "cell-a") -> TrainingCell:
    cell = cells.cells[name]
    asked(cell, BEGIN, item_ids=item_ids_to_array(SPLIT.vocabulary))
    return cell


def refusal(reply: ReplyMessage) -> str:
    assert isinstance(reply.header, RefusalHeader), reply.header
    return reply.header.reason


def test_a_cell_with_a_budget_gives_no_sum_that_no_noise_is_on(tmp_path: Path) -> None:
    cell = begun(private_cells(tmp_path, budget=BUDGET))
    round_ = RoundTask(run_id=RUN_ID, round_number=0, cohort=300, population=300, seed=7, loss=LOSS)
    judging = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=0, population=300)
    for said in (
        asked(cell, round_, item_vectors=VECTORS),
        asked(cell, judging, item_vectors=VECTORS, item_discounts=np.ones(40, np.float32)),
    ):
        assert "have a privacy budget (ε = 8 at δ = 1e-05), and sums of kind" in refusal(said)
    open_run = PopulationTask(run_id=RUN_ID, held_out=0.1)
    said = asked(cell, open_run, item_ids=item_ids_to_array(SPLIT.vocabulary))
    assert "the run is not private: train with an epsilon and a delta" in refusal(said)
    adopting = asked(cell, AdoptionTask(checkpoint_id="r0001-abc"))
    assert "reads no registry" in refusal(adopting)  # how many people there are is public
    assert isinstance(asked(cell, COUNTING, **NOTHING).header, SumsHeader)


@pytest.mark.parametrize("items", [40, 1])
def test_a_private_run_is_told_how_many_people_there_are_and_not_who_has_met_its_items(
    items: int, tmp_path: Path
) -> None:
    cell = private_cells(tmp_path, budget=BUDGET).cells["cell-b"]
    vocabulary = ItemVocabulary(SPLIT.vocabulary.item_ids[:items])
    reply = asked(cell, BEGIN, item_ids=item_ids_to_array(vocabulary))
    assert isinstance(reply.header, SumsHeader)
    assert dict(reply.header.numbers) == {"clients": 90}
    counting = COUNTING.model_copy(update={"items": items})
    released = asked(cell, counting, **NOTHING)
    assert isinstance(released.header, SumsHeader)
    assert dict(released.header.numbers) == {"clients": 90}


def test_the_ledger_has_the_release_before_its_noise_is_drawn(tmp_path: Path) -> None:
    found: list[tuple[str, float, str | None]] = []

    def noise(numbers: int) -> Float64Array:
        ledger = FileLedger(tmp_path / "cell-a" / "privacy" / "ledger.jsonl")
        found.extend((entry.released, entry.cost, entry.run) for entry in ledger.entries())
        return np.zeros(numbers)

    asked(begun(private_cells(tmp_path, dict.fromkeys(PARTS, noise), BUDGET)), COUNTING, **NOTHING)
    assert found == [(COUNTS, pytest.approx(1 / 9), RUN_ID)]


def test_the_same_task_gets_the_same_numbers_for_nothing_and_another_one_none(tmp_path: Path) -> None:
    cells = private_cells(tmp_path, budget=BUDGET)
    cell = begun(cells)
    first, again = (asked(cell, COUNTING, **NOTHING) for _ in range(2))
    assert np.array_equal(first.arrays[COUNTS], again.arrays[COUNTS])
    for other in ({"deviation": 2.0}, {"population": 299}):
        said = asked(cell, COUNTING.model_copy(update=other), **NOTHING)
        assert "was asked for otherwise before; a run asks for it once" in refusal(said)
    assert len(cells.releases["cell-a"].ledger.entries()) == 1


def test_a_cell_that_was_started_again_draws_no_second_noise_for_a_release(tmp_path: Path) -> None:
    asked(begun(private_cells(tmp_path, budget=BUDGET)), COUNTING, **NOTHING)
    after = private_cells(tmp_path, budget=BUDGET)
    cell = after.cells["cell-a"]  # it takes the run up by itself
    assert "was drawn before this cell was started again" in refusal(asked(cell, COUNTING, **NOTHING))
    assert isinstance(asked(cell, COUNTING, **NOTHING | {"popularity": POPULARITY}).header, SumsHeader)
    assert [entry.released for entry in after.releases["cell-a"].ledger.entries()] == [COUNTS, GRAM]


def test_a_cell_that_is_killed_as_it_draws_has_paid_and_tells_nothing_later(tmp_path: Path) -> None:
    process = [sys.executable, str(Path(__file__).with_name("dying_cell.py")), str(tmp_path)]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(process, check=False, env=path, timeout=120).returncode == -signal.SIGKILL
    cells = private_cells(tmp_path, budget=BUDGET)
    assert [entry.released for entry in cells.releases["cell-a"].ledger.entries()] == [COUNTS]
    assert "it sits the release out" in refusal(asked(begun(cells), COUNTING, **NOTHING))


def test_a_cell_refuses_what_its_budget_does_not_reach_for_and_says_so(tmp_path: Path) -> None:
    cells = private_cells(tmp_path, budget=BUDGET)
    cell = begun(cells)
    for left in (COUNTING.model_copy(update={"left": 4.0}), COUNTING.model_copy(update={"deviation": 0.5})):
        assert "and the budget is 8" in refusal(asked(cell, left, **NOTHING))
    assert cells.releases["cell-a"].ledger.entries() == ()
    cells.releases["cell-a"].ledger.spend(Entry(released="before", cost=2.7), BUDGET)
    assert "and the budget is 8" in refusal(asked(cell, COUNTING, **NOTHING))


def test_a_cell_without_a_budget_keeps_the_account_all_the_same(tmp_path: Path) -> None:
    cells = private_cells(tmp_path)
    asked(begun(cells), COUNTING.model_copy(update={"deviation": 0.05}), **NOTHING)
    assert [entry.cost for entry in cells.releases["cell-a"].ledger.entries()] == [pytest.approx(400)]


@pytest.mark.parametrize(
    ("header", "popularity", "directions", "said"),
    [
        (COUNTING.model_copy(update={"items": 41}), np.empty(0), np.empty((0, 0)), "the run has 40 items"),
        (COUNTING, POPULARITY[:39], np.empty((0, 0)), "the run has 40 items"),
        (COUNTING, -POPULARITY, np.empty((0, 0)), "2 items or more have a popularity"),
        (COUNTING, np.eye(40)[0], np.empty((0, 0)), "2 items or more have a popularity"),
        (COUNTING, POPULARITY * 1e9, np.empty((0, 0)), "2 items or more have a popularity"),
        (COUNTING, POPULARITY, np.ones((39, 2)), "directions are of the 40 items"),
        (COUNTING, POPULARITY, np.ones((40, 41)), "directions are of the 40 items"),
        (COUNTING, POPULARITY, np.full((40, 2), 1e7), "directions are of the 40 items"),
        (COUNTING, POPULARITY, np.empty((40, 0)), r"their shape is (0, 0)"),
        (COUNTING.model_copy(update={"noise_cells": 2}), POPULARITY, np.empty((0, 0)), "the sum may be of 1"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_and_costs_nothing(
    tmp_path: Path, header: PrivateTask, popularity: Float32Array, directions: Float32Array, said: str
) -> None:
    cells = private_cells(tmp_path, parts={"cell-a": range(30)})
    question = {"popularity": popularity.astype(np.float32), "directions": directions.astype(np.float32)}
    assert said in refusal(asked(begun(cells), header, **question))
    assert cells.releases["cell-a"].ledger.entries() == ()


@settings(max_examples=60, deadline=None)
@given(
    popularity=arrays(np.float32, 12, elements=st.floats(-6, 9).map(lambda power: np.float32(0.9999 * 10**power))),
    directions=arrays(np.float32, (12, 3), elements=st.floats(-1e6, 1e6, width=32)),
    met=st.sets(st.integers(0, 11)),
    along=st.booleans(),
)
def test_whatever_a_server_asks_no_person_adds_more_than_one(
    *, popularity: Float32Array, directions: Float32Array, met: set[int], along: bool
) -> None:
    question = Question(popularity, directions if along else np.empty((0, 0), np.float32))
    term = question.terms([np.array(sorted(met), np.int32)], 12)
    assert np.linalg.norm(term.astype(np.float64)) <= 1


def test_a_trainer_has_its_budget_from_its_settings_and_its_ledger_in_its_folder(tmp_path: Path) -> None:
    releases = CellReleases(tmp_path, BUDGET)
    cell = TrainingCell(filled(range(30)), None, tmp_path, 5, releases)
    asked(cell, BEGIN, item_ids=item_ids_to_array(SPLIT.vocabulary))
    asked(cell, COUNTING, **NOTHING)
    assert (tmp_path / "privacy" / "ledger.jsonl").exists()
