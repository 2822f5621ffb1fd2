"""Adding: what comes from cells in good order is added, and what does not costs its cell the round, by name."""

from collections.abc import Mapping

import numpy as np
import pytest

from training.federation.adding import plainly
from training.federation.errors import TooFewCells
from training.federation.exchange import Answers
from training.federation.forms import evaluation_form, round_form
from training.federation.sums import Form
from training.federation.tasks import AdoptionTask, LossSettings, RefusalHeader, ReplyMessage, SumsHeader, TaskMessage
from training.federation.wire import reply_to_bytes

TASK = TaskMessage(AdoptionTask(checkpoint_id="r0001-abc"))
FORM = Form(("people",), {"shown": (3,)}, {"people": 8.0, "shown": 8.0})


def sums(people: float, shown: list[float], of: str = "adopt", name: str = "people") -> bytes:
    arrays = {"shown": np.array(shown, np.float32)}
    return reply_to_bytes(ReplyMessage(SumsHeader.model_validate({"of": of, "numbers": {name: people}}), arrays))


class Fixed:
    """An exchange whose answers are given."""

    def __init__(self, replies: Mapping[str, bytes]) -> None:
        self._replies = replies

    def cells(self) -> tuple[str, ...]:
        return tuple(self._replies)

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        return Answers(self._replies, {})


def test_sums_are_added_and_bytes_counted() -> None:
    replies = {"b": sums(3, [1, 0, 2]), "a": sums(4, [0.5, 1, 1])}
    total = plainly(Fixed(replies), ("a", "b"), TASK, FORM, 2, "it")
    assert (total.cells, total.failures) == (("a", "b"), {})
    assert total.sums.numbers == {"people": 7}
    assert total.sums.arrays["shown"].tolist() == [1.5, 1, 3]
    assert total.uplink_bytes == sum(map(len, replies.values()))


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"nonsense", "a message begins with"),
        (sums(3, [1, 2]), r"arrays of .*\(3,\).* are due; got .*\(2,\)"),
        (sums(3, [1, 2, 3], name="persons"), r"sums of \('people',\) .* got \('persons',\)"),
        (sums(3, [1, 2, 3], of="round"), "sums of kind adopt are due; got round"),
        (sums(-1, [1, 2, 3]), "no less than 0"),
        (sums(9, [1, 2, 3]), "people is between -8 and 8; got 9"),
        (sums(3, [1, -9, 3]), "shown is between -8 and 8; got 9"),
        (reply_to_bytes(ReplyMessage(RefusalHeader(error="TooFewPeople", reason="no"))), "TooFewPeople: no"),
    ],
)
def test_a_bad_reply_costs_its_cell_the_round_and_nobody_else_anything(reply: bytes, why: str) -> None:
    replies = {"good": sums(3, [1, 0, 2]), "bad": reply}
    total = plainly(Fixed(replies), ("bad", "good"), TASK, FORM, 1, "it")
    assert total.cells == ("good",)
    assert total.sums.numbers == {"people": 3}
    with pytest.raises(
        TooFewCells, match=rf"it needs the sums of at least 2 cells; 1 gave theirs \(good\). bad: .*{why}"
    ):
        plainly(Fixed(replies), ("bad", "good"), TASK, FORM, 2, "it")


def test_the_form_of_a_task_says_nothing_of_who_is_there() -> None:
    loss = LossSettings(alpha=0.2, regularization=0.01, activity_exponent=0.3)
    assert round_form(4, 3, 10, loss).shapes == {
        "item_gradient": (4, 3),
        "user_gram": (3, 3),
        "item_energy": (4,),
        "item_counts": (4,),
        "activity": (1,),
    }
    assert evaluation_form(4, 10).numbers == ("hr_10", "ndcg", "people", "recall")
