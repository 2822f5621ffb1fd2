"""The transport to cells: the numbers of the simulation, from sums alone, with whoever is there."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from feature_store.fold_in import fold_in
from tests.training.federation.local_cells import (
    HELD_OUT,
    LOSS,
    PARTS,
    RUN_ID,
    SPLIT,
    LocalExchange,
    in_order,
    local_cells,
)
from training.evaluation import evaluate, fold_in_scorer
from training.federation.adding import Total, plainly
from training.federation.errors import TooFewCells
from training.federation.exchange import Exchange
from training.federation.federated_run import FederatedRun, loss_settings, prepare_federated
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.sums import Form
from training.federation.tasks import TaskMessage
from training.histories import Histories
from training.item_features import ItemFeatures
from training.loop import run_rounds
from training.settings import TrainingSettings
from training.transport import Cell, Cohorts, Simulation

SETTINGS = TrainingSettings.model_validate({"dim": 8, "alpha": 0.2, "cohort": 24, "rounds": 5, "patience": 0})


class Late(NamedTuple):
    """Adds plainly, but that the first attempt takes so many seconds and then lacks its quorum."""

    seconds: float
    asked: list[str]

    def __call__(
        self, exchange: Exchange, cells: Sequence[str], task: TaskMessage, form: Form, quorum: int, about: str
    ) -> Total:
        self.asked.append(about)
        if len(self.asked) == 1:
            time.sleep(self.seconds)
            raise TooFewCells("a cell is late")
        return plainly(exchange, cells, task, form, quorum, about)


def test_patience_begins_when_cells_are_too_few_and_not_with_an_attempt_that_waits_for_one(tmp_path: Path) -> None:
    exchange, late = LocalExchange(local_cells(tmp_path)), Late(2.6, [])
    taken_up = take_up(exchange, RUN_ID, SPLIT.vocabulary, HELD_OUT, 2, Traffic(), 2.5, late)
    assert (len(taken_up.cells), len(late.asked)) == (2, 2)
    with pytest.raises(TooFewCells, match="a cell is late"):
        take_up(exchange, RUN_ID, SPLIT.vocabulary, HELD_OUT, 2, Traffic(), 0.0, Late(0.0, []))


def federated(exchange: LocalExchange, quorum: int = 2, *, validates: bool = False) -> FederatedRun:
    traffic = Traffic()
    taken_up = take_up(exchange, RUN_ID, SPLIT.vocabulary, HELD_OUT, quorum, traffic)
    cohorts = Cohorts(SETTINGS.cohort, taken_up.clients, SETTINGS.seed)
    transport = FlowerTransport(exchange, RUN_ID, taken_up, cohorts, loss_settings(SETTINGS, 40), quorum, traffic)
    return prepare_federated(SPLIT.vocabulary, ItemFeatures(40), SETTINGS, transport, validates=validates)


def test_rounds_over_two_cells_give_the_checkpoint_of_the_simulation_with_the_same_cells(tmp_path: Path) -> None:
    run = federated(LocalExchange(local_cells(tmp_path)))
    assert run.transport.loss == LOSS.model_copy(update={"row_bound": 0.25})
    *_, (state, report) = run.rounds(run.start())
    cells = []
    for people in PARTS.values():
        train = Histories.of(SPLIT.train[person] for person in in_order(people))
        cells.append(Cell(train, np.arange(len(train))))
    simulation = Simulation(run.algorithm, cells, Cohorts(24, 60, SETTINGS.seed))
    *_, (expected, simulated) = run_rounds(run.algorithm, simulation, run.start(), rounds=5)
    assert (report.cohort, report.loss) == (simulated.cohort, simulated.loss)
    # One kernel, one order of adding: the sum of two numbers does not depend on which comes first.
    assert np.array_equal(run.item_vectors(state), run.item_vectors(expected))


def test_the_quality_that_cells_sum_up_is_that_over_everybody(tmp_path: Path) -> None:
    run = federated(LocalExchange(local_cells(tmp_path)))
    *_, (state, _) = run.rounds(run.start())
    vectors = run.item_vectors(state)
    expected = evaluate(fold_in_scorer(vectors, SPLIT.train, LOSS.fold_in), 40, SPLIT.valid, [SPLIT.train])
    found = run.validation(state)
    assert found.users == expected.users == 60
    assert found.figures() == pytest.approx(expected.figures())
    assert found.ndcg > 0.4  # half of the 28 items left are the person's kind: chance is below .2


def test_the_state_that_validated_best_over_the_cells_is_kept(tmp_path: Path) -> None:
    run = federated(LocalExchange(local_cells(tmp_path)), validates=True)
    told: list[float] = []
    *_, (state, report) = run.rounds(run.start(), judged=lambda quality: told.append(quality.ndcg))
    assert report.validation == told[-1]
    assert state.validation == tuple(told)
    assert len(told) == 5
    assert told[state.best_round - 1] == max(told)


def test_a_cell_that_does_not_answer_is_left_out_of_the_round_and_back_in_the_next(tmp_path: Path) -> None:
    exchange = LocalExchange(local_cells(tmp_path), lambda about: frozenset({"cell-b"} if about == "round 2" else ()))
    run = federated(exchange, quorum=1)
    cohorts = [report.cohort for _, report in run.rounds(run.start())]
    whole = federated(LocalExchange(local_cells(tmp_path / "whole")))
    expected = [report.cohort for _, report in whole.rounds(whole.start())]
    assert cohorts[1] < expected[1]
    assert [*cohorts[:1], *cohorts[2:]] == [*expected[:1], *expected[2:]]


def test_a_round_below_the_quorum_says_whom_it_lacks_and_why(tmp_path: Path) -> None:
    exchange = LocalExchange(local_cells(tmp_path), lambda about: frozenset({"cell-b"} if about == "round 1" else ()))
    run = federated(exchange, quorum=2)
    said = r"round 1 needs the sums of at least 2 cells; 1 gave theirs \(cell-a\). cell-b: no answer in time"
    with pytest.raises(TooFewCells, match=said):
        next(run.rounds(run.start()))


def test_cells_that_refuse_do_not_make_a_quorum(tmp_path: Path) -> None:
    with pytest.raises(TooFewCells, match="cell-a: TooFewPeople: this cell gives no sums over fewer than 40 people"):
        federated(LocalExchange(local_cells(tmp_path, least=40)))


def test_bytes_are_counted_both_ways(tmp_path: Path) -> None:
    exchange = LocalExchange(local_cells(tmp_path))
    run = federated(exchange)
    next(run.rounds(run.start()))
    half = [sum(map(len, exchange.seen[start : start + 2])) for start in range(0, len(exchange.seen), 2)]
    traffic = run.transport.traffic
    assert (traffic.downlink, traffic.uplink) == (sum(half[::2]), sum(half[1::2]))


def test_nothing_of_a_person_is_in_the_bytes_on_the_wire(tmp_path: Path) -> None:
    exchange = LocalExchange(local_cells(tmp_path))
    run = federated(exchange, validates=True)
    *_, (state, _) = run.rounds(run.start())
    wire = b"".join(exchange.seen)
    assert b"item-7" in wire  # it would be found: the catalogue is there
    for user_id in SPLIT.user_ids:
        assert user_id.encode() not in wire
    assert b"event-" not in wire
    assert b"click" not in wire
    vectors = run.item_vectors(state)
    before = run.item_vectors(run.start())
    for sent in (vectors, before):
        for person in range(60):
            for rows in (SPLIT.train[person], np.concatenate([SPLIT.train[person], SPLIT.valid[person]])):
                assert fold_in(sent, sent.T @ sent, rows, LOSS.fold_in).tobytes() not in wire
    one = run.algorithm.client_update(before, [SPLIT.train[0]])
    assert one.sums["user_gram"].tobytes() not in wire
    assert one.sums["item_gradient"].tobytes() not in wire


def test_a_round_that_lacks_its_quorum_is_tried_again_for_as_long_as_patience_lasts(tmp_path: Path) -> None:
    asked: list[str] = []

    def cut(about: str) -> frozenset[str]:
        asked.append(about)
        return frozenset({"cell-b"} if asked.count("round 1") == 1 else ())

    exchange = LocalExchange(local_cells(tmp_path), cut)
    run = federated(exchange)
    patient = replace(run, transport=replace(run.transport, patience_seconds=30.0))
    _, report = next(patient.rounds(patient.start()))
    assert asked.count("round 1") == 2
    whole = federated(LocalExchange(local_cells(tmp_path / "whole")))
    _, expected = next(whole.rounds(whole.start()))
    assert (report.cohort, report.loss) == (expected.cohort, expected.loss)
