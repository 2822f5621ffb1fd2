"""Item-item weights from a sum that adds securely: who met two items together, counted over everybody.

A client sends which pairs among the items that most people met are in its history, and the server solves for the
weights in closed form: EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equation 8), with a
regularisation that grows with an item's count (Steck 2020, "Autoencoders that don't overfit towards the identity",
section 4). Each client sends once in a training, after the rounds, in the same cohorts of disjoint people; of one
person the matrix says everything, so that this needs secure aggregation as much as the rounds do.

A client of n items counts by n^(−x), as in `training.activity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.item_item import ItemItem
from training.activity import activity_roots
from training.client_update import ACTIVITY, ClientUpdate
from training.cohort import disjoint_cohorts, population
from training.histories import Histories
from training.item_item_settings import ItemItemSettings

CO_OCCURRENCE = "co_occurrence"
_CELLS = 1 << 22  # of a (clients, items) matrix: 16 MiB


@dataclass(frozen=True, slots=True)
class Collected:
    """What the clients' sums came to.

    item_item: the weights.
    uplink_bytes_per_client: what each client sent, once.
    """

    item_item: ItemItem
    uplink_bytes_per_client: int


def collect_item_item(
    train: Histories, item_counts: Float32Array, cohort: int, seed: int, settings: ItemItemSettings
) -> Collected:
    """Let each client send once, in disjoint cohorts, and solve for the weights.

    Args:
        train: the clients' histories.
        item_counts: people who met each item, as the rounds have estimated it; says which items are the most met.
        cohort: clients at a time.
        seed: of who is in which cohort.
        settings: see there.
    """
    rows = most_met(item_counts, settings.items)
    updates = (
        co_occurrence_update(rows, [train[client] for client in members], settings.activity_exponent)
        for members in disjoint_cohorts(population(train), cohort, seed)
    )
    total = next(updates)
    for update in updates:
        total += update
    return Collected(ItemItem(rows, item_item_weights(total, len(rows), settings)), total.uplink_bytes)


def most_met(item_counts: Float32Array, most: int) -> Int32Array:
    """Rows of the items that most people met, at most so many, ascending; of equal counts the lower rows."""
    order = np.argsort(-item_counts, kind="stable")[:most]
    return np.sort(order[item_counts[order] > 0]).astype(np.int32)


def co_occurrence_update(
    rows: Int32Array, histories: Sequence[Int32Array], activity_exponent: float = 0.0
) -> ClientUpdate:
    """The summed update of the clients with these histories.

    Args:
        rows: the m rows that are counted, ascending.
        histories: distinct item rows of each client, of the whole vocabulary.
        activity_exponent: x of the clients' weights w = |H|^(−x).

    Returns:
        With x_h = 1 for those of the m items that are in the client's history and 0 for the others, summed:
        co_occurrence, (m (m + 1) / 2,): w x xᵀ, its upper triangle row by row.
        activity, (1,): w.
    """
    m = len(rows)
    place = np.full(int(max(rows.max(initial=0), *(h.max(initial=0) for h in histories))) + 1, -1, np.int32)
    place[rows] = np.arange(m, dtype=np.int32)
    lengths = np.array([len(history) for history in histories], np.int64)
    roots = activity_roots(lengths, activity_exponent)
    gram = np.zeros((m, m), np.float32)
    step = max(1, _CELLS // max(1, m))
    for start in range(0, len(histories), step):
        met = np.zeros((min(step, len(histories) - start), m), np.float32)
        for client, history in enumerate(histories[start : start + step]):
            places = place[history]
            met[client, places[places >= 0]] = roots[start + client]
        gram += met.T @ met
    weight = np.array([np.square(roots).sum(dtype=np.float64)], np.float32)
    return ClientUpdate({CO_OCCURRENCE: gram[np.triu_indices(m)], ACTIVITY: weight}, 0.0, len(histories))


def item_item_weights(update: ClientUpdate, m: int, settings: ItemItemSettings) -> Float32Array:
    """B of the least squares Σ_u w_u |x_u − x_u B|² + Σ_h r_h |B[h, ·]|² with a zero diagonal, shape (m, m).

    r_h = λ + p G_hh, with G the summed w x xᵀ in units of the mean w: so λ counts people of mean weight.

    Args:
        update: of all clients, from `co_occurrence_update`.
        m: how many rows were counted.
        settings: λ, p, and the weight that B is multiplied by.
    """
    gram: Float64Array = np.zeros((m, m))
    gram[np.triu_indices(m)] = update.sums[CO_OCCURRENCE]
    gram += np.triu(gram, 1).T
    gram *= update.clients / float(update.sums[ACTIVITY][0])
    diagonal: Int64Array = np.arange(m)
    gram[diagonal, diagonal] += settings.regularization + settings.dropout * gram[diagonal, diagonal]
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    weights[diagonal, diagonal] = 0
    scaled: Float32Array = (settings.weight * weights).astype(np.float32)
    return scaled
