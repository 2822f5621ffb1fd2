"""A cell under masks: what it refuses a server that lies, and what a server that keeps everything has of it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from tests.training.federation.local_cells import LOSS
from tests.training.federation.secure_cells import NODE_KEYS, PINNED, RecordingExchange, Secure, restarted, secure_cells
from tests.training.federation.test_secure_adding import BEGIN, CELLS, ROUND, asked, begun, plain_sums, require_equal
from training.federation.errors import BadMessage, TooFewCells
from training.federation.fixed_sums import layout_of
from training.federation.forms import form_of
from training.federation.parcel import MAGIC, MOST_MESSAGES, Parcel
from training.federation.secure_adding import STAGES
from training.federation.secure_cell import Identity, SecureCell
from training.federation.sums import Sums
from training.federation.tasks import RefusalHeader, RoundTask, TaskMessage
from training.federation.wire import reply_from_bytes, task_to_bytes
from training.secure_aggregation.client_messages import MaskedInput
from training.secure_aggregation.server import ServerState, accept, begin, close
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.uncovering import SecureSum

LOW, HIGH = 160.0, 370.0  # of χ² with 255 degrees of freedom, but for one case in a hundred thousand


def terms_of(task: TaskMessage, round_id: str = "round", threshold: int = 2) -> Terms:
    return Terms(round_id, CELLS, threshold, layout_of(form_of(task), len(CELLS)))


def sent(cell: SecureCell, message: bytes, task: bytes = b"") -> bytes:
    """What a cell replies to one message of a round: the message in its parcel, or a refusal."""
    reply = asyncio.run(cell.answer(Parcel((message,), task).to_bytes()))
    return Parcel.from_bytes(reply).messages[0] if reply[:3] == MAGIC else reply


def talked(
    secure: Secure, terms: Terms, stages: int, task: TaskMessage = ROUND
) -> tuple[ServerState, dict[str, bytes]]:
    """A round over all three cells up to a stage, and what is to be sent then."""
    state: ServerState | SecureSum
    state, requests = begin(terms, PINNED)
    for place in range(stages):
        for name, cell in secure.cells.items():
            reply = sent(cell, requests[name], task_to_bytes(task) if place == 2 else b"")
            state = accept(state, name, reply)
        state, requests = close(state)
    assert not isinstance(state, SecureSum)
    return state, requests


def refusal(reply: bytes) -> str:
    header = reply_from_bytes(reply).header
    assert isinstance(header, RefusalHeader), header
    return f"{header.error}: {header.reason}"


def test_a_task_in_the_clear_is_refused(tmp_path: Path) -> None:
    cell = begun(tmp_path).cells["cell-a"]
    for task in (BEGIN, ROUND):
        said = refusal(asyncio.run(cell.answer(task_to_bytes(task))))
        assert said == "Refused: this cell gives its sums under masks alone; a task came in the clear"
    assert refusal(asyncio.run(cell.answer(b""))) == said


@pytest.mark.parametrize("cut", [3, 5, 8, 60, -1])
def test_a_parcel_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    cell = begun(tmp_path).cells["cell-a"]
    whole = Parcel((terms_of(ROUND).to_bytes(), terms_of(ROUND, "next").to_bytes())).to_bytes()
    assert refusal(asyncio.run(cell.answer(whole[:cut]))).startswith(("BadMessage: a parcel of", "MalformedMessage: "))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=MOST_MESSAGES), st.binary(max_size=40))
def test_a_parcel_comes_back_as_it_was_sent(messages: list[bytes], task: bytes) -> None:
    parcel = Parcel(tuple(messages), task)
    assert Parcel.from_bytes(parcel.to_bytes()) == parcel


@pytest.mark.parametrize("count", [0, MOST_MESSAGES + 1])
def test_a_parcel_of_no_message_or_of_too_many_is_refused(count: int) -> None:
    with pytest.raises(BadMessage, match="with 1 to 64 messages is due"):
        Parcel.from_bytes(Parcel((b"",) * count).to_bytes())


def test_terms_with_other_bounds_words_or_fields_than_the_task_gives_are_refused(tmp_path: Path) -> None:
    """Smaller bounds would tell, by refusals, how large a cell's numbers are; larger ones would cost precision."""
    secure, terms = begun(tmp_path), terms_of(ROUND)
    fields, lies = terms.layout.fields, []
    for place, one in enumerate(fields):
        for factor in (0.5, 2.0):
            other = [*fields[:place], replace(one, bound=one.bound * factor), *fields[place + 1 :]]
            lies.append(replace(terms.layout, fields=tuple(other)))
    lies += [replace(terms.layout, word_bits=64), replace(terms.layout, fields=fields[1:])]
    for place, layout in enumerate(lies):
        _, requests = talked(secure, replace(terms, layout=layout, round_id=f"round {place}"), 2)
        said = refusal(sent(secure.cells["cell-a"], requests["cell-a"], task_to_bytes(ROUND)))
        assert "bounds and words that follow from it; the terms have others" in said
    _, requests = talked(secure, terms, 2)
    larger = TaskMessage(ROUND.header.model_copy(update={"cohort": 1 << 30, "population": 1 << 30}), ROUND.arrays)
    assert "the terms have others" in refusal(sent(secure.cells["cell-a"], requests["cell-a"], task_to_bytes(larger)))
    assert sent(secure.cells["cell-a"], requests["cell-a"], task_to_bytes(ROUND))[:3] == b"HSA"


def test_a_round_has_one_task(tmp_path: Path) -> None:
    """A second one would be masked by the same keys: the difference of the two would be that of the sums."""
    secure = begun(tmp_path)
    _, requests = talked(secure, terms_of(ROUND), 2)
    cell, other = secure.cells["cell-a"], TaskMessage(ROUND.header.model_copy(update={"seed": 8}), ROUND.arrays)
    first = sent(cell, requests["cell-a"], task_to_bytes(ROUND))
    assert "round round has its task; another one came" in refusal(sent(cell, requests["cell-a"], task_to_bytes(other)))
    assert sent(cell, requests["cell-a"], task_to_bytes(ROUND)) == first


def test_the_round_of_the_task_before_is_over_when_another_one_has_a_task(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    _, survivors = talked(secure, terms_of(ROUND), 3)
    another = TaskMessage(ROUND.header.model_copy(update={"round_number": 5}), ROUND.arrays)
    talked(secure, terms_of(ROUND, "another"), 3, another)
    assert "this cell is in no round" in refusal(sent(secure.cells["cell-a"], survivors["cell-a"]))


def test_a_threshold_below_what_holds_against_the_cells_that_may_collude_is_refused(tmp_path: Path) -> None:
    wary = secure_cells(tmp_path, colluding=1).cells["cell-a"]
    said = refusal(sent(wary, terms_of(BEGIN).to_bytes()))
    assert "a threshold of 3 of 3 cells is due; the terms have 2" in said
    assert sent(wary, terms_of(BEGIN, threshold=3).to_bytes())[:3] == b"HSA"
    content = terms_of(BEGIN, "other").to_bytes()
    half = content.replace(b"cell-c\0\2", b"cell-c\0\1")  # behind the cohort stands the threshold
    assert half != content
    assert refusal(sent(wary, half)).startswith("MalformedMessage: the terms of round other are none")


def test_a_cohort_with_somebody_whose_key_is_not_pinned_or_without_the_cell_itself_is_refused(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    stranger = replace(terms_of(ROUND), cohort=("cell-a", "cell-b", "cell-x"))
    assert refusal(sent(secure.cells["cell-a"], stranger.to_bytes())) == "Refused: cell-a has no key pinned of cell-x"
    four = {**PINNED, "cell-d": NODE_KEYS["cell-a"].public_key()}
    other = SecureCell(secure.plain["cell-a"], Identity("cell-a", NODE_KEYS["cell-a"], four), tmp_path)
    elsewhere = replace(terms_of(ROUND), cohort=("cell-b", "cell-c", "cell-d"))
    assert "is of cell-b, cell-c, cell-d, and this cell is cell-a" in refusal(sent(other, elsewhere.to_bytes()))


def test_the_id_of_a_round_is_used_once_and_the_same_proposal_again_gets_the_same_answer(tmp_path: Path) -> None:
    cell, content = begun(tmp_path).cells["cell-a"], terms_of(ROUND).to_bytes()
    first = sent(cell, content)
    assert sent(cell, content) == first
    assert sent(cell, terms_of(ROUND, "another").to_bytes())[:3] == b"HSA"
    assert "round round was proposed before" in refusal(sent(cell, content))
    twice = Parcel((terms_of(ROUND, "twice").to_bytes(),) * 2).to_bytes()
    assert "round twice was proposed before" in refusal(asyncio.run(cell.answer(twice)))


def test_stages_of_a_round_that_a_cell_is_not_in_are_refused(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    _, rosters = talked(secure, terms_of(ROUND), 1)
    again = restarted(secure, tmp_path, "cell-b")
    assert "or the cell was started again since" in refusal(sent(again, rosters["cell-b"]))
    assert sent(secure.cells["cell-c"], rosters["cell-c"])[:3] == b"HSA"
    for start in range(0, 64, 32):  # the newest sixty-four are kept
        proposal = Parcel(tuple(terms_of(ROUND, f"round {start + n}").to_bytes() for n in range(32))).to_bytes()
        asyncio.run(secure.cells["cell-a"].answer(proposal))
    assert "this cell is in no round" in refusal(sent(secure.cells["cell-a"], rosters["cell-a"]))


def without(cell: str, *stages: str) -> Callable[[str], frozenset[str]]:
    return lambda about: frozenset({cell} if about.split(": ")[1] in stages else ())


def test_an_update_goes_into_one_sum_though_the_cell_is_started_again_and_the_run_has_another_id(
    tmp_path: Path,
) -> None:
    secure = begun(tmp_path)
    whole = asked(RecordingExchange(secure.cells), ROUND)
    assert whole.cells == CELLS
    # Two of them alone: the difference of the two sums would be the numbers of the third.
    for cells in (secure.cells, {**secure.cells, "cell-a": restarted(secure, tmp_path, "cell-a")}):
        exchange = RecordingExchange(cells, without("cell-c", "keys"))
        with pytest.raises(TooFewCells, match=r"cell-a: Refused: an update goes into one sum") as refused:
            asked(exchange, ROUND)
        assert "that over cell-a, cell-b, cell-c; asked for is one over cell-a, cell-b" in str(refused.value)
        assert not [one for one in exchange.said if one.about.endswith("unmasking")]
    # The same sum again is no news: so a server that was killed does its last round anew.
    again = asked(RecordingExchange({**secure.cells, "cell-b": restarted(secure, tmp_path, "cell-b")}), ROUND)
    assert np.array_equal(again.sums.arrays["item_gradient"], whole.sums.arrays["item_gradient"])
    # And another update may go into another sum.
    header = ROUND.header.model_copy(update={"round_number": 5})
    exchange = RecordingExchange(secure.cells, without("cell-c", "keys"))
    assert asked(exchange, TaskMessage(header, ROUND.arrays)).cells == ("cell-a", "cell-b")


@pytest.mark.parametrize("place", range(3), ids=STAGES[:3])
def test_a_round_that_failed_before_anybody_signed_may_be_tried_with_others(tmp_path: Path, place: int) -> None:
    secure = begun(tmp_path)
    exchange = RecordingExchange(secure.cells, without("cell-c", STAGES[place]))
    with pytest.raises(TooFewCells, match="at least 3 cells"):
        asked(exchange, ROUND, quorum=3)
    assert not (tmp_path / "cell-a" / "given-updates.json").exists()
    assert (tmp_path / "cell-a" / "reserved-updates.json").exists() == (place == 2)  # cell-a's masked sums have left
    exchange = RecordingExchange(secure.cells, without("cell-b", "keys"))
    assert asked(exchange, ROUND).cells == ("cell-a", "cell-c")
    given = json.loads((tmp_path / "cell-a" / "given-updates.json").read_bytes())
    assert list(given.values()) == [["cell-a", "cell-c"]]


def test_what_was_refused_cannot_be_uncovered_with_the_agreement_of_the_others(tmp_path: Path) -> None:
    """The cell that has refused to sign is asked to unmask all the same, with enough signatures of others."""
    secure = begun(tmp_path)
    asked(RecordingExchange(secure.cells, without("cell-c", "keys")), ROUND)
    forgetful = {name: restarted(secure, tmp_path / "y", name) for name in ("cell-b", "cell-c")}
    for name in forgetful:
        (tmp_path / "y" / name).mkdir(parents=True, exist_ok=True)
    mixed = Secure({**secure.cells, **forgetful}, secure.plain)
    state, survivors = talked(mixed, terms_of(ROUND), 3)
    assert "an update goes into one sum" in refusal(sent(mixed.cells["cell-a"], survivors["cell-a"]))
    for name in forgetful:
        state = accept(state, name, sent(mixed.cells[name], survivors[name]))
    _, agreements = close(state)
    assert set(agreements) == {"cell-b", "cell-c"}
    assert "this cell is in no round" in refusal(sent(mixed.cells["cell-a"], agreements["cell-b"]))


class Fixed(NamedTuple):
    """A cell whose sums are given."""

    made: Sums

    async def sums(self, task: TaskMessage, together: int) -> Sums:
        return self.made


@pytest.mark.parametrize("number", [np.nan, np.inf, -3e38, 3e38])
def test_sums_beyond_their_bounds_are_refused_without_a_word_on_how_large_they_are(
    tmp_path: Path, number: float
) -> None:
    secure = begun(tmp_path)
    honest = asyncio.run(secure.plain["cell-b"].sums(ROUND))
    wrong = Sums(honest.numbers, {name: np.full_like(array, number) for name, array in honest.arrays.items()})
    cell = SecureCell(Fixed(wrong), Identity("cell-b", NODE_KEYS["cell-b"], PINNED), tmp_path / "cell-b")
    total = asked(RecordingExchange({**secure.cells, "cell-b": cell}), ROUND)
    assert total.cells == ("cell-a", "cell-c")
    said = "Refused: the sums are not within the bounds of their task; the cell's own log says more"
    assert total.failures == {"cell-b": said}


@pytest.mark.parametrize("file", ["given-updates.json", "reserved-updates.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": [1]}'])
def test_a_cell_whose_record_cannot_be_read_is_in_no_total_and_it_is_told(
    tmp_path: Path, file: str, content: bytes
) -> None:
    secure = begun(tmp_path)
    (tmp_path / "cell-a" / file).write_bytes(content)
    total = asked(RecordingExchange(secure.cells), ROUND)
    assert total.cells == ("cell-b", "cell-c")
    assert total.failures == {"cell-a": "BadInput: the cell's own log says more"}
    require_equal(total.sums, plain_sums(secure, ROUND, total.cells), ROUND)
    assert (tmp_path / "cell-a" / file).read_bytes() == content


def test_a_cell_that_cannot_write_its_record_is_in_no_total_and_helps_to_uncover_none(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    (tmp_path / "cell-a" / "reserved-updates.json").mkdir()  # such as a disk that is full: it can be no file
    _, deliveries = talked(secure, terms_of(ROUND), 2)
    said = refusal(sent(secure.cells["cell-a"], deliveries["cell-a"], task_to_bytes(ROUND)))
    assert said == "Refused: this cell cannot write down what it gives; its own log says more"
    assert "this cell is in no round" in refusal(sent(secure.cells["cell-a"], deliveries["cell-a"]))


def test_a_cell_that_can_write_no_more_when_it_is_to_sign_does_not_and_its_failure_is_told(tmp_path: Path) -> None:
    secure, folder = begun(tmp_path), tmp_path / "cell-a" / "given-updates.json"
    cut: set[str] = set()

    def full(about: str) -> frozenset[str]:
        if about.endswith("agreement") and not cut:
            folder.mkdir()
            cut.add(about)
        return frozenset()

    exchange = RecordingExchange(secure.cells, full)
    total = asked(exchange, ROUND)
    assert total.cells == CELLS  # its masked sums are there, and the other two suffice to uncover all three
    said = "after its sums were in: Refused: this cell cannot write down what it gives; its own log says more"
    assert total.failures == {"cell-a": said}
    assert {one.cell for one in exchange.said if one.about.endswith("unmasking")} == {"cell-b", "cell-c"}
    folder.rmdir()
    (reserved,) = json.loads((tmp_path / "cell-a" / "reserved-updates.json").read_bytes()).values()
    assert reserved == list(CELLS)


def test_a_cell_that_is_given_another_node_key_than_the_others_have_pinned_is_refused(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    wrong = SecureCell(secure.plain["cell-a"], Identity("cell-a", NODE_KEYS["cell-b"], PINNED), tmp_path / "cell-a")
    assert refusal(sent(wrong, terms_of(ROUND).to_bytes())) == "BadInput: the cell's own log says more"
    with pytest.raises(BadInput):
        Terms("round", CELLS[:2], 2, layout_of(form_of(ROUND), 2))


def chi_square(content: bytes) -> float:
    """Pearson's statistic of the 256 values of a byte against all of them being as likely."""
    seen = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
    expected = len(content) / 256
    return float(((seen - expected) ** 2 / expected).sum())


def test_what_the_server_has_of_one_cell_is_uniform_and_two_rounds_over_the_same_data_share_nothing(
    tmp_path: Path,
) -> None:
    vectors = np.random.default_rng(5).standard_normal((40, 256)).astype(np.float32)
    header = RoundTask(run_id="run-1", round_number=4, cohort=45, population=60, seed=7, loss=LOSS)
    wide = TaskMessage(header, {"item_vectors": vectors})
    secure = begun(tmp_path)
    exchange = RecordingExchange(secure.cells)
    totals = [asked(exchange, wide), asked(exchange, wide)]
    assert np.array_equal(totals[0].sums.arrays["item_gradient"], totals[1].sums.arrays["item_gradient"])
    plain = asyncio.run(secure.plain["cell-a"].sums(wide))
    assert not LOW < chi_square(plain.arrays["item_gradient"].tobytes()) < HIGH
    for name in CELLS:
        masked = [
            MaskedInput.from_bytes(one.answered[0])
            for one in exchange.said
            if (one.cell, one.about) == (name, "round 5: masked sums")
        ]
        first, second = (np.frombuffer(message.words, np.uint8) for message in masked)
        assert len(first) > 500_000
        for content in (first, second, first - second, first[0::4], first[3::4]):
            assert LOW < chi_square(content.tobytes()) < HIGH
        words = [np.frombuffer(message.words, "<u4") for message in masked]
        assert (words[0] == words[1]).sum() <= 3  # of 150,000; by chance it is one in many thousand rounds
        said = b"".join(one.reply for one in exchange.said if one.cell == name)
        for array in plain.arrays.values():
            assert array.tobytes() not in said
    assert all(one.message[:3] == one.reply[:3] == MAGIC for one in exchange.said)
