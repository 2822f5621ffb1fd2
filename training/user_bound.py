"""The bound on a user: how much one person can add to the sums of the curvature client, whatever is in the history.

Two lengths of what a client adds are bounded, p its embedding, w its weight (`training.activity`), r_i = p·q_i − 1:

    row     max(w |p| max_i |r_i|, w |p|²)   the longest row of its item gradient, or its share of energy and gram
    whole   √(Σ_i w² r_i² |p|² + w² |p|⁴ (1 + n) + w²)   everything it adds but the item counts, as one vector

Every sum is a product of two things of the client, each with the root of w, so that a smaller w shortens all of them
alike: a client above a bound counts for less, and remains what a client can be. Whoever holds the history computes it,
a device or the cell that the person trusts, before anything is added up; a secure aggregation sees bounded sums only.

Why rows. The norm over everything says how long a history is: honest people differ twentyfold, and who puts all of the
norm that is allowed into the row of one item pushes it like twenty do. The longest rows of honest people differ little
(docs/poisoning.md has the figures).

`brought_within` is for an update that somebody else computed, and that may be anything.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int64Array
from feature_store.errors import BadInput
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate


class UserBound(NamedTuple):
    """The most that a client may add; None bounds nothing."""

    row: float | None = None
    whole: float | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """Both as numbers."""
        return np.inf if self.row is None else self.row, np.inf if self.whole is None else self.whole

    def lowered(
        self, roots: Float32Array, embeddings: Float32Array, residuals: Float32Array, offsets: Int64Array
    ) -> Float32Array:
        """The roots of the clients' weights, lowered for those that would add more than the bound, shape (clients,).

        Args:
            roots: √w of each client, shape (clients,).
            embeddings: p of each, not weighed, shape (clients, dim).
            residuals: r of all entries, not weighed, client after client.
            offsets: client u has residuals[offsets[u]:offsets[u + 1]], shape (clients + 1,).
        """
        if self == UNBOUNDED:
            return roots
        lengths, weights = np.diff(offsets), np.square(roots, dtype=np.float64)
        starts, some = offsets[:-1][lengths > 0], lengths > 0
        largest, squares = np.zeros(len(roots)), np.zeros(len(roots))
        largest[some] = np.maximum.reduceat(np.abs(residuals), starts)
        squares[some] = np.add.reduceat(np.square(residuals, dtype=np.float64), starts)
        energies = np.vecdot(embeddings, embeddings).astype(np.float64)
        rows = weights * np.sqrt(energies) * np.maximum(largest, np.sqrt(energies))
        wholes = weights * np.sqrt(squares * energies + np.square(energies) * (1 + lengths) + 1)
        shares: Float32Array = np.sqrt(self.share(rows, wholes)).astype(np.float32)
        return roots * shares

    def share(self, rows: Float64Array, wholes: Float64Array) -> Float64Array:
        """What to scale clients of these lengths by so that they keep to the bound; at most 1."""
        row, whole = self.limits
        kept: Float64Array = np.minimum(row / np.maximum(rows, _TINY), whole / np.maximum(wholes, _TINY))
        return np.minimum(kept, 1)


UNBOUNDED = UserBound()
_TINY = np.finfo(np.float64).tiny


def brought_within(update: ClientUpdate, bound: UserBound) -> ClientUpdate:
    """What counts of an update of one client that somebody else computed, and that may be anything.

    It is made to look like a client's: energies below 0 and directions in which the gram is negative are left out, as
    such sums would undo those of others; an item is counted once at most, and so is the client. Then it is scaled down
    to the bound. This is for whoever sees the update of a single device: a cell that takes them in. One that holds the
    histories has no need of it: it computes the updates.

    Raises:
        BadInput: it is not of one client, its sums are not those of the curvature client, or a number is not finite.
    """
    if update.clients != 1 or set(update.sums) != set(_SUMS):
        raise BadInput(f"the update of one client with sums {_SUMS} is due; got {update.clients} and {[*update.sums]}")
    for name, array in update.sums.items():
        if not np.isfinite(array).all():
            raise BadInput(f"sum {name} of an update holds numbers that are not finite")
    gradient = update.sums["item_gradient"]
    gram, energy = _without_negative(update.sums["user_gram"]), np.maximum(update.sums["item_energy"], 0)
    activity = np.clip(update.sums[ACTIVITY], 0, 1)
    longest = max(float(np.sqrt(np.vecdot(gradient, gradient).max())), float(np.trace(gram)), float(energy.max()))
    bounded = {"item_gradient": gradient, "user_gram": gram, "item_energy": energy, ACTIVITY: activity}
    whole = np.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in bounded.values()))
    share = np.float32(bound.share(np.array(longest), np.array(whole)))
    counts = {ITEM_COUNTS: np.clip(update.sums[ITEM_COUNTS], 0, 1)}
    return ClientUpdate({name: array * share for name, array in bounded.items()} | counts, update.loss, 1)


_SUMS = ("item_gradient", "user_gram", "item_energy", ITEM_COUNTS, ACTIVITY)


def _without_negative(gram: Float32Array) -> Float32Array:
    """The nearest matrix that is symmetric and has no negative eigenvalue (Higham 1988, theorem 2.1)."""
    values, basis = np.linalg.eigh((gram.astype(np.float64) + gram.T) / 2)
    nearest: Float32Array = ((basis * np.maximum(values, 0)) @ basis.T).astype(np.float32)
    return nearest
