"""The transport of a private training: each round a release, of which the centre keeps a ledger as its cells do.

The noise is the cells' (`training.federation.private_cell`), each adding a share such that those of `noise_cells` of
them are enough. Under masks (`training.federation.secure_adding`) a sum is of a threshold of cells or nobody's, so that
the threshold is that number, less those of them that may tell the server their noise. In the clear it is one: each
cell's own sum has all the noise that is promised, and their total √cells times as much.
"""

import math
from dataclasses import dataclass

from feature_store.manifest import PrivacySpent
from training.client_update import ClientUpdate
from training.federation.errors import TooFewCells
from training.federation.flower_transport import FlowerTransport
from training.federation.tasks import PrivateTask, TaskMessage
from training.privacy.ledger import Entry, Ledger, is_entered, require_affordable
from training.privacy.question import Known, Question
from training.privacy.release import NOISE, Plan, Releases, noise_of, plan, spent
from training.privacy.settings import PrivacySettings
from training.secure_aggregation.terms import LEAST_CLIENTS, threshold_against_server


@dataclass(frozen=True, slots=True)
class PrivateTransport:
    """The transport (`training.transport.Transport`) of one private run.

    transport: to the cells that have taken it up; its cohorts say how many people there are.
    settings: how private.
    ledger: of the centre, for all runs on these people.
    noise_cells: so many cells' shares of the noise are enough.
    """

    transport: FlowerTransport
    settings: PrivacySettings
    ledger: Ledger
    noise_cells: int

    @property
    def releases(self) -> Releases:
        """What the algorithm is to know of them: how much larger than it has to be the noise comes out."""
        return Releases(self.ledger, excess=self._excess(len(self.transport.taken_up.cells)))

    @property
    def planned(self) -> Plan:
        """What is released, and how."""
        people, items = self.transport.cohorts.population, self.transport.taken_up.items
        return plan(self.settings, people, items, self.releases.excess)

    def round(self, round_number: int, sent: Known) -> ClientUpdate:
        """See `Transport.round`: the release that `sent` asks for, over everybody.

        A round that is repeated, as the process at the centre was killed, is the same release, of which cells tell the
        same numbers again; the centre has paid for it.

        Raises:
            BudgetSpent: this release, and those of the run behind it, are not within the budget any more.
            TooFewCells: fewer than the quorum are there, or answered in time.
        """
        question, planned = Question.of(sent), self.planned
        name = question.released
        left = self._pay(name, planned)
        header = PrivateTask(
            run_id=self.transport.run_id,
            items=self.transport.taken_up.items,
            population=self.transport.cohorts.population,
            deviation=planned.deviation(name),
            noise_cells=self.noise_cells,
            left=left,
        )
        task = TaskMessage(header, {"popularity": question.popularity, "directions": question.directions})
        total = self.transport.of_all(task, f"round {round_number + 1}, {name},")
        if len(total.cells) < self.noise_cells:
            raise TooFewCells(f"the noise of {self.noise_cells} cells is due; {name} has that of {len(total.cells)}")
        noise = noise_of(planned.deviation(name) * self._excess(len(total.cells)))
        clients = round(total.sums.numbers["clients"])
        return ClientUpdate({name: total.sums.arrays[name], NOISE: noise}, 0.0, clients)

    def spent(self) -> PrivacySpent:
        """What the manifest says."""
        return spent(self.settings, self.planned, self.ledger.entries())

    def _excess(self, cells: int) -> float:
        return math.sqrt(cells / self.noise_cells)

    def _pay(self, name: str, planned: Plan) -> float:
        """Enter the release, where it is not in the ledger; what it and those behind it cost, μ²."""
        budget, run_id, entries = self.settings.all_runs, self.transport.run_id, self.ledger.entries()
        names = list(planned.costs)
        left = sum(planned.costs[each] for each in names[names.index(name) :])
        if not is_entered(entries, run_id, name):
            rest = Entry(released="what is left of this training", cost=left)
            require_affordable(entries, rest, budget)
            self.ledger.spend(Entry(released=name, cost=planned.costs[name], run=run_id), budget)
        return left


def noise_cells_for(cells: int, colluding: int | None) -> int:
    """Of how many cells the noise has to be enough, of so many that are asked.

    colluding: how many of them may help the server, where sums are added under masks; None where they are not.

    >>> noise_cells_for(3, None), noise_cells_for(3, 0), noise_cells_for(10, 1)
    (1, 2, 5)
    """
    if colluding is None:
        return 1
    return threshold_against_server(max(cells, LEAST_CLIENTS), colluding) - colluding
