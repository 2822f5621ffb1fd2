"""Sums that no people can have are refused, of one cell in the clear and in a total under masks."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.training.federation.secure_cells import NODE_KEYS, PINNED, RecordingExchange
from tests.training.federation.test_secure_adding import EVALUATION, asked, begun
from training.federation.errors import BadMessage
from training.federation.plausible import require_plausible
from training.federation.secure_cell import Identity, SecureCell
from training.federation.sums import Sums
from training.federation.tasks import TaskMessage


def judged(shown: list[float], **numbers: float) -> Sums:
    told = {"people": 10.0, "recall": 4.0, "ndcg": 3.0, "hr_10": 9.0} | numbers
    return Sums(told, {"shown": np.array(shown, np.float32)})


def test_what_people_can_have_is_plausible_to_the_last_of_it() -> None:
    require_plausible(judged([10.0] * 20))
    require_plausible(judged([0.0], recall=10.0, ndcg=10.0, hr_10=10.0))
    require_plausible(Sums({"clients": 3.0, "loss": 500.0}, {}))


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        (judged([0.0], ndcg=11.0), "1 a person at most"),
        (judged([0.0], recall=10.6), "1 a person at most"),
        (judged([0.0], hr_10=1400.0), "1 a person at most"),
        (judged([0.0], people=-1.0), "no less than 0"),
        (judged([11.0]), "are shown an item once each"),
        (judged([-1.0, 3.0]), "are shown an item once each"),
        (judged([10.0] * 22), "20 at most"),
    ],
)
def test_what_people_cannot_have_is_refused(sums: Sums, said: str) -> None:
    with pytest.raises(BadMessage, match=said):
        require_plausible(sums)


class Boasting(NamedTuple):
    """A cell that adds to the figures of an evaluation."""

    cell: SecureCell

    async def sums(self, task: TaskMessage, together: int) -> Sums:
        honest = await self.cell._cell.sums(task, together)
        return Sums({**honest.numbers, "ndcg": honest.numbers["ndcg"] + 55}, honest.arrays)


def test_a_total_above_what_people_can_have_ends_an_evaluation_under_masks(tmp_path: Path) -> None:
    secure = begun(tmp_path)
    liar = Boasting(secure.cells["cell-b"])
    cells = {
        **secure.cells,
        "cell-b": SecureCell(liar, Identity("cell-b", NODE_KEYS["cell-b"], PINNED), tmp_path / "cell-b"),
    }
    with pytest.raises(BadMessage, match=r"1 a person at most; .* A cell has sent what is no sum, and masks hide"):
        asked(RecordingExchange(cells), EVALUATION)
