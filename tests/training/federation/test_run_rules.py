"""Run rules and draws: no two answers of a cell are over people who differ by somebody of the server's choice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from tests.training.federation.local_cells import HELD_OUT, LOSS, PARTS, RUN_ID, SPLIT, filled_memory
from tests.training.federation.test_cell import BEGIN, ROUND, VECTORS, asked, numbers, refusal
from training.federation.cell import TrainingCell
from training.federation.draws import own_secret, own_seed
from training.federation.tasks import EvaluationTask, PopulationTask, TaskMessage
from training.federation.wire import item_ids_to_array

JUDGED = {"item_vectors": VECTORS, "item_discounts": np.ones(40, np.float32)}


def a_cell(folder: Path, draws: bytes | None = None) -> TrainingCell:
    """One that has taken up the run."""
    folder.mkdir(exist_ok=True)
    cell = TrainingCell(filled_memory(PARTS["cell-a"]), None, folder, 5, draws=draws)
    asked(cell, BEGIN)
    return cell


@pytest.mark.parametrize(
    "said", [{"cohort": 29}, {"population": 61}, {"seed": 8}, {"loss": LOSS.model_copy(update={"alpha": 0.21})}]
)
def test_what_cohorts_follow_from_is_said_once_a_run(said: dict[str, Any], tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    asked(cell, ROUND, item_vectors=VECTORS)
    other = ROUND.model_copy(update={"round_number": 5, **said})
    assert "Refused: rounds of run-1 was asked for otherwise before" in refusal(cell, other, item_vectors=VECTORS)
    as_said = {name: getattr(ROUND, name) for name in said}
    assert numbers(asked(cell, other.model_copy(update=as_said), item_vectors=VECTORS))


def test_a_round_has_one_task_however_often_it_comes(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    once, again = (numbers(asked(cell, ROUND, item_vectors=VECTORS)) for _ in range(2))
    assert once == again
    nearly = VECTORS + np.float32(1e-6)
    assert "round 4 of run-1 was asked for otherwise before" in refusal(cell, ROUND, item_vectors=nearly)
    assert numbers(asked(cell, ROUND.model_copy(update={"round_number": 5}), item_vectors=nearly))


def test_the_rules_outlive_the_process_and_other_runs_in_between(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    asked(cell, ROUND, item_vectors=VECTORS)
    after = TrainingCell(filled_memory(PARTS["cell-a"]), None, tmp_path, 5)
    other = ROUND.model_copy(update={"cohort": 29})
    assert "otherwise before" in refusal(after, other, item_vectors=VECTORS)
    asked(after, PopulationTask(run_id="run-2", held_out=HELD_OUT), item_ids=item_ids_to_array(SPLIT.vocabulary))
    asked(after, BEGIN)
    assert "otherwise before" in refusal(after, other, item_vectors=VECTORS)


def test_a_run_is_begun_with_one_vocabulary_and_one_time(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    fewer = {"item_ids": item_ids_to_array(ItemVocabulary(SPLIT.vocabulary.item_ids[1:]))}
    assert "the start of run-1 was asked for otherwise" in refusal(cell, TaskMessage(BEGIN.header, fewer))
    later = PopulationTask(run_id=RUN_ID, held_out=HELD_OUT, since=5.0)
    assert "the start of run-1 was asked for otherwise" in refusal(cell, TaskMessage(later, BEGIN.arrays))


def test_evaluations_are_about_one_time_and_as_many_people_throughout_a_run(tmp_path: Path) -> None:
    cell = TrainingCell(filled_memory(PARTS["cell-a"]), None, tmp_path, 5)
    asked(cell, TaskMessage(PopulationTask(run_id=RUN_ID, held_out=HELD_OUT, since=1e9), BEGIN.arrays))
    task = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=20, population=60)
    for header in (task, task.model_copy(update={"most": 0}), task.model_copy(update={"most": 0, "since": 1e9})):
        assert numbers(asked(cell, header, **JUDGED))["people"] >= 10
    a_second_later = task.model_copy(update={"since": 1e9 + 1})
    assert "since 1000000000, which the start of the run said; not since 1000000001" in refusal(
        cell, a_second_later, **JUDGED
    )
    assert "people judged of run-1" in refusal(cell, task.model_copy(update={"most": 19}), **JUDGED)
    assert "people of evaluations" in refusal(cell, task.model_copy(update={"population": 61}), **JUDGED)


def test_what_is_refused_binds_nobody(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    assert "item vectors of the run's 40 items" in refusal(cell, ROUND, item_vectors=VECTORS[1:])
    assert numbers(asked(cell, ROUND, item_vectors=VECTORS))


def test_damaged_rules_let_nothing_out(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    for content in (b"", b"{", b"[]", b'{"run-1": {"said": {"rounds": 3}}}'):
        (tmp_path / "runs.json").write_bytes(content)
        assert refusal(cell, ROUND, item_vectors=VECTORS).startswith("BadInput: ")


def test_a_cell_draws_by_its_secret_the_same_throughout_a_run_and_otherwise_in_the_next(tmp_path: Path) -> None:
    secret, other = own_secret(tmp_path / "one.key"), own_secret(tmp_path / "two.key")
    assert own_secret(tmp_path / "one.key") == secret
    next_run = ROUND.model_copy(update={"run_id": "run-2"})
    later = ROUND.model_copy(update={"round_number": 5})
    assert own_seed(secret, ROUND) == own_seed(secret, later)
    seeds = [
        own_seed(*asked_with) for asked_with in ((secret, ROUND), (secret, next_run), (other, ROUND), (None, ROUND))
    ]
    assert len({*seeds}) == 4
    losses = {
        numbers(asked(a_cell(tmp_path / name, draws), ROUND, item_vectors=VECTORS))["loss"]
        for name, draws in (("a", secret), ("b", other), ("c", None))
    }
    assert len(losses) == 3


def test_a_secret_of_another_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "draws.key").write_bytes(b"short")
    with pytest.raises(BadInput, match="is to hold 32 bytes; it has 5"):
        own_secret(tmp_path / "draws.key")
