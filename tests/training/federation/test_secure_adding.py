"""Adding under masks: the plain total, from cells that show nothing else, with whoever stays."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.training.federation.local_cells import HELD_OUT, LOSS, RUN_ID, SPLIT
from tests.training.federation.secure_cells import (
    PINNED,
    THREE,
    RecordingExchange,
    Secure,
    each,
    restarted,
    secure_cells,
)
from training.federation.adding import Total
from training.federation.errors import BadMessage, TooFewCells
from training.federation.fixed_sums import largest_error
from training.federation.forms import form_of
from training.federation.parcel import Parcel
from training.federation.secure_adding import STAGES, Securely
from training.federation.sums import Sums, added
from training.federation.tasks import (
    EvaluationTask,
    PopulationTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    TaskMessage,
)
from training.federation.wire import item_ids_to_array, reply_to_bytes
from training.secure_aggregation.client_messages import MaskedInput

VECTORS = np.random.default_rng(5).standard_normal((40, 8)).astype(np.float32)
BEGIN = TaskMessage(PopulationTask(run_id=RUN_ID, held_out=HELD_OUT), {"item_ids": item_ids_to_array(SPLIT.vocabulary)})
ROUND = TaskMessage(
    RoundTask(run_id=RUN_ID, round_number=4, cohort=45, population=60, seed=7, loss=LOSS), {"item_vectors": VECTORS}
)
EVALUATION = TaskMessage(
    EvaluationTask(run_id=RUN_ID, loss=LOSS, most=0, population=60),
    {"item_vectors": VECTORS, "item_discounts": np.ones(40, np.float32)},
)
CELLS = tuple(THREE)


def begun(folder: Path, least: int = 5) -> Secure:
    """Three cells that have taken up the run."""
    secure = secure_cells(folder, least)
    total = asked(RecordingExchange(secure.cells), BEGIN)
    assert total.sums.numbers["clients"] == total.sums.numbers["judged"] == 60
    return secure


def asked(exchange: RecordingExchange, task: TaskMessage, quorum: int = 1) -> Total:
    return Securely(PINNED, ahead=2)(exchange, CELLS, task, form_of(task), quorum, "round 5")


def plain_sums(secure: Secure, task: TaskMessage, cells: tuple[str, ...]) -> list[Sums]:
    return [asyncio.run(secure.plain[name].sums(task)) for name in cells]


def require_equal(found: Sums, expected: list[Sums], task: TaskMessage) -> None:
    """Counts are exact, and numbers as near as fixed point and float32 allow."""
    form = form_of(task)
    for name in form.numbers:
        exact = sum(sums.numbers[name] for sums in expected)
        assert found.numbers[name] == pytest.approx(exact, rel=1e-12, abs=largest_error(form, name, 3))
    for name in form.shapes:
        exact_array = np.sum([sums.arrays[name].astype(np.float64) for sums in expected], axis=0)
        error = largest_error(form, name, 3) + np.spacing(np.float32(np.abs(exact_array).max()))
        assert error < 1e-6 * np.abs(exact_array).max()
        np.testing.assert_allclose(found.arrays[name], exact_array, rtol=0, atol=error)


@pytest.mark.parametrize("task", [ROUND, EVALUATION], ids=["round", "evaluation"])
def test_the_total_is_that_of_the_plain_sums_and_counts_are_exact(tmp_path: Path, task: TaskMessage) -> None:
    secure = begun(tmp_path)
    total = asked(RecordingExchange(secure.cells), task, quorum=3)
    expected = plain_sums(secure, task, CELLS)
    assert (total.cells, total.failures) == (CELLS, {})
    require_equal(total.sums, expected, task)
    counts = {"round": "item_counts", "evaluate": "shown"}[task.header.kind]
    assert np.array_equal(total.sums.arrays[counts], added(expected).arrays[counts])
    people = {"round": "clients", "evaluate": "people"}[task.header.kind]
    assert total.sums.numbers[people] == added(expected).numbers[people]


@pytest.mark.parametrize("place", range(5), ids=STAGES)
def test_a_cell_that_is_gone_at_any_stage_does_not_end_the_round(tmp_path: Path, place: int) -> None:
    secure = begun(tmp_path)
    gone = {f"round 5: {stage}" for stage in STAGES[place:]}
    exchange = RecordingExchange(secure.cells, lambda about: frozenset({"cell-b"} if about in gone else ()))
    total = asked(exchange, ROUND)
    in_it = CELLS if place > 2 else ("cell-a", "cell-c")  # who has sent its masked sums is in the sum
    assert total.cells == in_it
    late = "after its sums were in: " if place > 2 else ""
    assert total.failures == {"cell-b": f"{late}no answer in time"}
    require_equal(total.sums, plain_sums(secure, ROUND, in_it), ROUND)


def test_a_cell_that_was_away_before_the_round_does_not_end_it(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    there = ("cell-a", "cell-c")
    total = Securely(PINNED)(RecordingExchange(secure.cells), there, ROUND, form_of(ROUND), 2, "round 5")
    assert total.cells == there
    require_equal(total.sums, plain_sums(secure, ROUND, there), ROUND)


def test_below_the_threshold_nothing_is_uncovered_and_everybody_who_is_missing_is_named(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    for stage in STAGES:
        gone = frozenset({"cell-b", "cell-c"})
        exchange = RecordingExchange(
            secure.cells, lambda about, stage=stage, gone=gone: gone if about.endswith(stage) else frozenset()
        )
        said = rf"round 5, {stage}, needs the sums of at least 2 cells; 1 gave theirs \(cell-a\). cell-b: no answer .*"
        with pytest.raises(TooFewCells, match=said):
            asked(exchange, ROUND)


def test_below_the_quorum_nothing_is_uncovered_though_the_threshold_is_reached(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    exchange = RecordingExchange(
        secure.cells, lambda about: frozenset({"cell-b"} if about.endswith("masked sums") else ())
    )
    with pytest.raises(TooFewCells, match=r"round 5, masked sums, needs the sums of at least 3 cells; 2 gave"):
        asked(exchange, ROUND, quorum=3)
    assert not [one for one in exchange.said if one.about.endswith(("agreement", "unmasking"))]


def test_two_cells_are_too_few_for_masks() -> None:
    exchange, pinned = RecordingExchange({}), {name: PINNED[name] for name in CELLS[:2]}
    with pytest.raises(
        TooFewCells, match=r"masks hide the sums of 3 cells or more .* keys are pinned of cell-a, cell-b"
    ):
        Securely(pinned)(exchange, CELLS[:2], ROUND, form_of(ROUND), 1, "round 5")


def test_a_cell_whose_key_the_server_has_not_is_left_out_and_named(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    cells = (*CELLS, "cell-x")
    total = Securely(PINNED)(RecordingExchange(secure.cells), cells, ROUND, form_of(ROUND), 1, "round 5")
    assert (total.cells, total.failures) == (CELLS, {"cell-x": "its node key is not pinned here"})


REFUSAL = reply_to_bytes(ReplyMessage(RefusalHeader(error="TooFewPeople", reason="no")))


@pytest.mark.parametrize("place", range(3), ids=STAGES[:3])
@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda _: b"nonsense", "a message begins with"),
        (each(lambda reply: reply[:-1]), "a message of kind .* ends after"),
        (each(lambda reply: reply[:5] + bytes(32) + reply[37:]), "a message belongs to terms 0000000000000000"),
        (each(lambda reply: reply[:37] + b"\0\2" + reply[39:]), "cell-b sent a message in the name of cell-c"),
        (lambda reply: reply[:-1], "a parcel of . messages ends within one"),
        (lambda reply: reply + b"task", "replies to . messages are due"),
        (lambda reply: Parcel(Parcel.from_bytes(reply).messages * 2).to_bytes(), "replies to . messages are due; got"),
        (lambda _: REFUSAL, "TooFewPeople: no"),
    ],
    ids=["nonsense", "cut off", "other round", "other cell", "parcel cut off", "task", "twice", "refusal"],
)
def test_a_cell_that_answers_nonsense_costs_itself_the_round_and_nobody_else_anything(
    tmp_path: Path, place: int, lie: object, why: str
) -> None:
    secure = begun(tmp_path)

    def forged(about: str, cell: str, reply: bytes) -> bytes:
        made: bytes = lie(reply) if (about, cell) == (f"round 5: {STAGES[place]}", "cell-b") else reply  # type: ignore[operator]  # as parametrized
        return made

    total = asked(RecordingExchange(secure.cells, forged=forged), ROUND)
    assert total.cells == ("cell-a", "cell-c")
    with pytest.raises(TooFewCells, match=f"cell-b: .*{why}"):
        asked(RecordingExchange(begun(tmp_path / "again").cells, forged=forged), ROUND, quorum=3)
    require_equal(total.sums, plain_sums(secure, ROUND, total.cells), ROUND)


def test_masked_sums_that_are_none_make_a_total_that_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    """Under masks nobody sees what a cell sends; of a total that counts fewer than nobody it is plain that one lied."""
    secure = begun(tmp_path)

    def forged(about: str, cell: str, reply: bytes) -> bytes:
        if (about, cell) != ("round 5: masked sums", "cell-b"):
            return reply
        message = MaskedInput.from_bytes(Parcel.from_bytes(reply).messages[0])
        words = np.frombuffer(message.words, "<u4").copy()
        words -= np.uint32(1 << 30)
        return Parcel((MaskedInput(message.digest, message.sender, words.tobytes()).to_bytes(),)).to_bytes()

    with pytest.raises(BadMessage, match=r"no less than 0; got .* A cell has sent what is no sum"):
        asked(RecordingExchange(secure.cells, forged=forged), ROUND)


def test_a_cell_that_refuses_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    few = TaskMessage(ROUND.header.model_copy(update={"cohort": 15}), ROUND.arrays)  # 5, 6 and 5 of theirs
    assert asked(RecordingExchange(secure.cells), few).cells == CELLS
    fewer = TaskMessage(ROUND.header.model_copy(update={"cohort": 12}), ROUND.arrays)
    with pytest.raises(TooFewCells, match="cell-a: TooFewPeople: this cell gives no sums over fewer than 5 people"):
        asked(RecordingExchange(secure.cells), fewer, quorum=3)


def test_bytes_of_all_stages_are_counted_both_ways(tmp_path: Path) -> None:
    exchange = RecordingExchange(begun(tmp_path).cells)
    total = asked(exchange, ROUND)
    assert total.downlink_bytes == sum(len(one.message) for one in exchange.said)
    assert total.uplink_bytes == sum(len(one.reply) for one in exchange.said)
    assert len(exchange.said) == 15
    assert stages_of(exchange) == list(STAGES)


def of_round(number: int) -> TaskMessage:
    return TaskMessage(ROUND.header.model_copy(update={"round_number": number}), ROUND.arrays)


def stages_of(exchange: RecordingExchange, cell: str = "cell-a") -> list[str]:
    return [one.about.split(": ")[1] for one in exchange.said if one.cell == cell]


def test_rounds_are_prepared_ahead_so_that_one_takes_three_exchanges(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    exchange, securely = RecordingExchange(secure.cells), Securely(PINNED, ahead=3)
    for number in range(4):
        task = of_round(number)
        total = securely(exchange, CELLS, task, form_of(task), 3, f"round {number}")
        require_equal(total.sums, plain_sums(secure, task, CELLS), task)
    assert stages_of(exchange) == [*STAGES, *STAGES[2:], *STAGES[2:], *STAGES]


def test_evaluations_between_rounds_are_prepared_ahead_from_the_second_on(tmp_path: Path) -> None:
    exchange, securely = RecordingExchange(begun(tmp_path).cells), Securely(PINNED, ahead=3)
    for number in range(3):
        for task in (of_round(number), EVALUATION):
            securely(exchange, CELLS, task, form_of(task), 3, "it")
    assert stages_of(exchange) == [*STAGES, *STAGES, *STAGES[2:], *STAGES, *STAGES[2:], *STAGES[2:]]


def test_a_cell_that_was_started_again_misses_one_round_and_is_in_the_next(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    exchange, securely = RecordingExchange(secure.cells), Securely(PINNED, ahead=5)
    first = securely(exchange, CELLS, of_round(0), form_of(ROUND), 2, "round 1")
    secure.cells["cell-b"] = restarted(secure, tmp_path, "cell-b")
    second = securely(exchange, CELLS, of_round(1), form_of(ROUND), 2, "round 2")
    third = securely(exchange, CELLS, of_round(2), form_of(ROUND), 2, "round 3")
    assert (first.cells, second.cells, third.cells) == (CELLS, ("cell-a", "cell-c"), CELLS)
    assert "this cell is in no round of these terms" in second.failures["cell-b"]
    require_equal(second.sums, plain_sums(secure, of_round(1), second.cells), ROUND)


def test_a_bound_on_what_one_person_adds_lets_one_word_a_number_do(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    loss = LOSS.model_copy(update={"row_bound": 0.25})
    task = TaskMessage(ROUND.header.model_copy(update={"loss": loss}), ROUND.arrays)
    total = asked(RecordingExchange(secure.cells), task)
    require_equal(total.sums, plain_sums(secure, task, CELLS), task)
    unbounded = asked(RecordingExchange(begun(tmp_path / "unbounded").cells), ROUND)
    assert unbounded.uplink_bytes - total.uplink_bytes == 3 * 4 * (40 * 8 + 40)  # a word of gradient and of energy
