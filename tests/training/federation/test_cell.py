"""A cell: what it answers to the server, held against the same sums over the same people in one place."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from feature_store.checkpoint import CheckpointDraft
from feature_store.errors import BadInput
from feature_store.fold_in import fold_in
from feature_store.manifest import CheckpointManifest
from feature_store.memory import open_memory
from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from tests.training.federation.local_cells import (
    HELD_OUT,
    LOSS,
    PARTS,
    RUN_ID,
    SPLIT,
    filled_memory,
    in_order,
    local_cells,
)
from training.evaluation import evaluate, fold_in_scorer
from training.federation.cell import TrainingCell
from training.federation.forms import evaluation_form, round_form
from training.federation.tasks import (
    AdoptionTask,
    EvaluationTask,
    PopulationTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    SumsHeader,
    TaskMessage,
)
from training.federation.wire import item_ids_to_array, reply_from_bytes, task_to_bytes
from training.histories import Chosen, Histories
from training.streaming import streamed_update
from training.transport import Cohorts

VECTORS = np.random.default_rng(5).standard_normal((40, 8)).astype(np.float32)
BEGIN = TaskMessage(PopulationTask(run_id=RUN_ID, held_out=HELD_OUT), {"item_ids": item_ids_to_array(SPLIT.vocabulary)})
ROUND = RoundTask(run_id=RUN_ID, round_number=4, cohort=30, population=60, seed=7, loss=LOSS)


def asked(cell: TrainingCell, header: object, **arrays: object) -> ReplyMessage:
    task = header if isinstance(header, TaskMessage) else TaskMessage(header, arrays)  # type: ignore[arg-type]  # as the test gives it
    return reply_from_bytes(asyncio.run(cell.answer(task_to_bytes(task))))


def refusal(cell: TrainingCell, header: object, **arrays: object) -> str:
    reply = asked(cell, header, **arrays)
    assert isinstance(reply.header, RefusalHeader)
    assert reply.arrays == {}
    return f"{reply.header.error}: {reply.header.reason}"


def numbers(reply: ReplyMessage) -> dict[str, float]:
    assert isinstance(reply.header, SumsHeader), reply.header
    return dict(reply.header.numbers)


def test_a_round_is_the_update_of_the_cells_part_of_the_cohort(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-a"]
    told = {"clients": 31, "judged": 31, "judged_new": 31, "new_items": 434, "unknown_items": 0, "unreadable": 0}
    assert numbers(asked(cell, BEGIN)) == told
    reply = asked(cell, ROUND, item_vectors=VECTORS)
    people = Histories.of(SPLIT.train[person] for person in in_order(PARTS["cell-a"]))
    drawn = Cohorts(30, 60, 7).of_cell(np.arange(31), 4)
    expected = streamed_update(VECTORS, Chosen(people, drawn), LOSS.fold_in, activity_exponent=0.3)
    assert numbers(reply) == {"loss": expected.loss, "clients": len(drawn)}
    assert round_form(40, 8, 30, LOSS).shapes == {name: array.shape for name, array in reply.arrays.items()}
    for name, array in expected.sums.items():
        assert np.array_equal(reply.arrays[name], array)


def test_an_evaluation_is_the_summed_quality_of_those_with_held_out_items(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-b"]
    asked(cell, BEGIN)
    discounts = np.linspace(0.5, 1.5, 40, dtype=np.float32)
    task = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=0, population=60)
    reply = asked(cell, task, item_vectors=VECTORS, item_discounts=discounts)
    train, valid = (Histories.of(part[person] for person in PARTS["cell-b"]) for part in (SPLIT.train, SPLIT.valid))
    expected = evaluate(fold_in_scorer(VECTORS, train, LOSS.fold_in, None, discounts), 40, valid, [train])
    sums = numbers(reply)
    assert sums["people"] == expected.users == 29
    assert sums["ndcg"] / 29 == pytest.approx(expected.ndcg)
    assert sums["recall"] / 29 == pytest.approx(expected.recall)
    assert sums["hr_10"] / 29 == pytest.approx(expected.hr_10)
    assert (reply.arrays["shown"] > 0).mean() == pytest.approx(expected.coverage)
    assert reply.arrays["shown"].sum() == 29 * 20
    assert evaluation_form(40, 60).shapes == {"shown": (40,)}


def test_an_evaluation_judges_the_cells_share_of_as_many_as_are_asked_for(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-b"]
    asked(cell, BEGIN)
    task = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=20, population=60)
    reply = asked(cell, task, item_vectors=VECTORS, item_discounts=np.ones(40, np.float32))
    assert numbers(reply)["people"] == 10  # 20 · 29/60, rounded up


def test_an_evaluation_of_more_than_half_of_the_people_judges_everybody(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-b"]
    asked(cell, BEGIN)
    task = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=59, population=60)  # the difference would be one person
    assert numbers(asked(cell, task, item_vectors=VECTORS, item_discounts=np.ones(40, np.float32)))["people"] == 29


def test_no_sum_is_given_over_fewer_people_than_the_cells_minimum(tmp_path: Path) -> None:
    cell = local_cells(tmp_path, least=16)["cell-a"]
    asked(cell, BEGIN)
    said = "TooFewPeople: this cell gives no sums over fewer than 16 people"
    assert refusal(cell, ROUND.model_copy(update={"cohort": 20}), item_vectors=VECTORS) == said
    assert numbers(asked(cell, ROUND.model_copy(update={"cohort": 60}), item_vectors=VECTORS))["clients"] == 31
    few = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=20, population=60)
    assert refusal(cell, few, item_vectors=VECTORS, item_discounts=np.ones(40, np.float32)) == said
    (tmp_path / "one").mkdir()
    lonely = TrainingCell(filled_memory([3]), None, tmp_path / "one", 2)
    assert refusal(lonely, BEGIN) == "TooFewPeople: this cell gives no sums over fewer than 2 people"


def test_a_minimum_of_one_person_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 2; got 1"):
        TrainingCell(open_memory(), None, tmp_path, 1)


def test_a_task_of_another_run_or_of_other_items_is_refused(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-a"]
    assert "this cell has taken up run none" in refusal(cell, ROUND, item_vectors=VECTORS)
    asked(cell, BEGIN)
    other = ROUND.model_copy(update={"run_id": "run-2"})
    assert "taken up run run-1; the task is of run run-2" in refusal(cell, other, item_vectors=VECTORS)
    assert "item vectors of the run's 40 items" in refusal(cell, ROUND, item_vectors=VECTORS[:39])
    assert asyncio.run(cell.answer(b"nonsense"))  # a reply all the same
    few = EvaluationTask(run_id=RUN_ID, loss=LOSS, most=0, population=60)
    assert "a discount for each of 40" in refusal(
        cell, few, item_vectors=VECTORS, item_discounts=np.ones(39, np.float32)
    )


def test_item_vectors_of_which_no_sum_comes_are_refused(tmp_path: Path) -> None:
    cell = local_cells(tmp_path)["cell-a"]
    asked(cell, BEGIN)
    assert "at most 1e+06; got 1e+19" in refusal(cell, ROUND, item_vectors=np.full((40, 8), 1e19, np.float32))
    largest = np.random.default_rng(5).uniform(-1e6, 1e6, (40, 8)).astype(np.float32)
    assert numbers(asked(cell, ROUND, item_vectors=largest))["clients"] > 0
    for shape in ((40, 0), (0, 8)):
        assert f"item_vectors has the shape {shape}" in refusal(cell, ROUND, item_vectors=np.zeros(shape, np.float32))


def test_a_cell_whose_process_was_started_again_goes_on_with_the_run(tmp_path: Path) -> None:
    before = local_cells(tmp_path)["cell-a"]
    asked(before, BEGIN)
    first = asked(before, ROUND, item_vectors=VECTORS)
    after = TrainingCell(filled_memory(PARTS["cell-a"]), None, tmp_path / "cell-a", 5)
    second = asked(after, ROUND, item_vectors=VECTORS)
    assert numbers(first) == numbers(second)
    assert all(np.array_equal(array, second.arrays[name]) for name, array in first.arrays.items())


def registry_of_one(folder: Path) -> tuple[Registry, CheckpointManifest]:
    """A registry with one checkpoint, which is in no stage yet."""
    key = SigningKey.generate()
    registry = Registry(folder, TrustedKeys([key.public]))
    vectors, counts = VECTORS, np.ones(40, np.float32)
    catalogues = one_catalogue("e-commerce", 40)
    published = registry.publish(CheckpointDraft(SPLIT.vocabulary, vectors, counts, LOSS.fold_in, 1, catalogues), key)
    return registry, published


def test_a_cell_folds_its_people_in_on_the_checkpoint_in_production_and_on_no_other(tmp_path: Path) -> None:
    registry, published = registry_of_one(tmp_path / "registry")
    checkpoint_id = published.checkpoint_id
    (tmp_path / "cell").mkdir()
    stores = filled_memory(PARTS["cell-a"])
    cell = TrainingCell(stores, registry, tmp_path / "cell", 5)
    task = AdoptionTask(checkpoint_id=checkpoint_id)
    assert refusal(cell, task).startswith("NothingPromoted: the cell's own log says more")
    registry.promote(checkpoint_id)
    assert "is not in production" in refusal(cell, AdoptionTask(checkpoint_id="r0001-other"))
    assert numbers(asked(cell, task)) == {"people": 31, "folded": 31, "failed": 0}
    embedding = asyncio.run(stores.embeddings.get("person-3", checkpoint_id))
    rows = np.sort(np.concatenate([SPLIT.train[3], SPLIT.valid[3]]))
    assert embedding is not None
    expected = fold_in(VECTORS, VECTORS.T @ VECTORS, rows, published.fold_in)
    np.testing.assert_allclose(embedding.vector, expected, rtol=0, atol=1e-5)
    assert "this cell reads no registry" in refusal(local_cells(tmp_path / "x")["cell-a"], task)


def test_of_fewer_people_than_the_cells_minimum_it_is_not_said_how_many_were_folded_in(tmp_path: Path) -> None:
    registry, published = registry_of_one(tmp_path / "registry")
    registry.promote(published.checkpoint_id)
    task = AdoptionTask(checkpoint_id=published.checkpoint_id)
    for count, folder in ((5, tmp_path / "enough"), (4, tmp_path / "few")):
        folder.mkdir()
        stores = filled_memory(range(count))
        cell = TrainingCell(stores, registry, folder, 5)
        if count == 5:
            assert numbers(asked(cell, task)) == {"people": 5, "folded": 5, "failed": 0}
        else:
            assert refusal(cell, task) == "TooFewPeople: this cell gives no sums over fewer than 5 people"
        for person in range(count):  # they have their embeddings all the same
            assert asyncio.run(stores.embeddings.get(f"person-{person}", published.checkpoint_id)) is not None


def test_what_a_cell_runs_loads_no_tensorflow_and_what_flower_starts_for_a_message_nothing_that_computes() -> None:
    for module, forbidden in (
        ("training.federation.trainer", ("tensorflow", "tf_keras", "tensorflow_recommenders", "flwr", "ray")),
        ("training.federation.client_app", ("tensorflow", "numba", "training.federation.cell", "feature_store.cell")),
    ):
        program = f"import {module}, sys; print(*(name for name in {forbidden!r} if name in sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60)
        assert done.stdout.decode().split() == []
