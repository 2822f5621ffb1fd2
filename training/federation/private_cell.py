"""What a cell lets out of its people with noise: each release drawn once, and paid for in a ledger before that.

The numbers of a release stay in this process for as long as its run goes on, and a task that comes again gets the same
numbers again, which says nothing new and costs nothing. They are drawn once and never again: a sum with other noise
over the same people would be a second look at them, and where sums are added up under masks, the noise of cells that
draw anew would wear off for those that do not. So a cell that was started again between the two sits the release out.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from feature_store.errors import BadInput
from training.federation.errors import Refused
from training.federation.people import People
from training.federation.private_forms import question_in
from training.federation.sums import Sums
from training.federation.tasks import AdoptionTask, PopulationTask, PrivateTask, Task, TaskMessage
from training.federation.wire import task_to_bytes
from training.histories import Chosen
from training.privacy.ledger import Budget, BudgetSpent, Entry, FileLedger, is_entered, require_affordable
from training.privacy.noise import Noise, secure_noise, share_deviation
from training.privacy.question import Question
from training.privacy.release import with_noise

_LEAST, _MOST = 1e-6, 1e9  # popularity; beyond, its ratios are nobody's
_LARGEST = 1e6  # in a direction, which has length 1


class _Kept(NamedTuple):
    """A release of the present run: digest of the task, and the numbers that it was answered with."""

    asked: bytes
    sums: Sums


class CellReleases:
    """The releases of one cell.

    folder: of the cell's trainer; the ledger is in it.
    budget: what all releases about the cell's people together may not pass; with one, nothing else of theirs goes out.
        None keeps the ledger and refuses nothing.
    noise: of unit variance; for tests and measurements. None is that of the operating system's keys.
    """

    def __init__(self, folder: Path, budget: Budget | None = None, noise: Noise | None = None) -> None:
        self.ledger = FileLedger(folder / "privacy" / "ledger.jsonl")
        self._budget, self._noise = budget, noise or secure_noise()
        self._run_id, self._kept = "", dict[str, _Kept]()

    def require_allowed(self, task: Task) -> None:
        """Raise `Refused` for a task whose sums no noise is added to, where the cell has a budget.

        How many people there are is public, by the definition of what is not to be told apart (docs/privacy.md).
        """
        if self._budget is None or isinstance(task, PrivateTask | AdoptionTask):
            return
        if not isinstance(task, PopulationTask):
            raise Refused(
                f"this cell's people have a privacy budget (ε = {self._budget.epsilon:g} at δ = {self._budget.delta:g})"
                f", and sums of kind {task.kind} have no noise on them: train with an epsilon and a delta"
            )
        if not task.private:
            raise Refused(
                f"this cell's people have a privacy budget (ε = {self._budget.epsilon:g} at δ = {self._budget.delta:g})"
                f", and the run is not private: train with an epsilon and a delta"
            )

    def release(self, people: People, items: int, task: TaskMessage, header: PrivateTask, together: int) -> Sums:
        """The people's terms, with this cell's share of the noise.

        Args:
            people: everybody in the cell.
            items: of the run.
            task: what is asked.
            header: of that.
            together: so many cells' sums at the least come to be known as one; 1 where each cell's is seen alone.

        Raises:
            Refused: the budget does not reach; the noise of others would be missing; the release was drawn before.
            BadInput: the ledger is damaged, or the task asks what makes no sense.
        """
        question = question_in(task)
        _require_sense(question, header, items)
        if header.noise_cells > together:
            raise Refused(
                f"the noise of {header.noise_cells} cells is to be enough, and the sum may be of {together}: this cell "
                f"would have too little"
            )
        asked, name = hashlib.sha256(task_to_bytes(task)).digest(), question.released
        if header.run_id != self._run_id:
            self._run_id, self._kept = header.run_id, {}
        if (kept := self._kept.get(name)) is not None:
            if kept.asked != asked:
                raise Refused(f"{name} of run {header.run_id} was asked for otherwise before; a run asks for it once")
            return kept.sums
        if is_entered(self.ledger.entries(), header.run_id, name):
            raise Refused(
                f"{name} of run {header.run_id} was drawn before this cell was started again: it sits the release out"
            )
        clean = question.terms(Chosen(people.train, people.clients), items)
        if not np.isfinite(clean).all():
            raise BadInput(f"the terms of {name} are not finite numbers")
        self._pay(name, header)
        share = share_deviation(header.deviation, header.noise_cells, 0)
        sums = Sums({"clients": float(len(people.train))}, {name: with_noise(clean, share, self._noise)})
        self._kept[name] = _Kept(asked, sums)
        return sums

    def _pay(self, name: str, header: PrivateTask) -> None:
        """Enter the release, if all that the run still asks for is within the budget: half a training is no use."""
        cost = header.deviation**-2
        try:
            rest = Entry(released="what is left of this training", cost=max(cost, header.left))
            require_affordable(self.ledger.entries(), rest, self._budget)
            self.ledger.spend(Entry(released=name, cost=cost, run=header.run_id), self._budget)
        except BudgetSpent as error:
            raise Refused(str(error)) from error


def _require_sense(question: Question, header: PrivateTask, items: int) -> None:
    """Raise `Refused` for a question of other items than the run's, or with numbers of which no sum comes."""
    popularity, directions = question
    if header.items != items or (popularity.size and len(popularity) != items):
        raise Refused(f"the run has {items} items; got a question of {header.items} and popularity {popularity.shape}")
    there = popularity[popularity != 0]
    if popularity.size and (len(there) < 2 or there.min() < _LEAST or there.max() > _MOST):
        raise Refused(f"2 items or more have a popularity between {_LEAST:g} and {_MOST:g}, the others one of 0")
    if directions.size and (
        len(directions) != len(there) or directions.shape[1] > len(there) or np.abs(directions).max() > _LARGEST
    ):
        raise Refused(
            f"directions are of the {len(there)} items asked about, no more than these and with numbers up to "
            f"{_LARGEST:g}; got the shape {directions.shape}"
        )
    if not directions.size and directions.shape != (0, 0):
        raise Refused(f"without directions their shape is (0, 0); got {directions.shape}")
