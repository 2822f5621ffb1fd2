"""Context: what the hour, the weekday, the device and the vertical add to everybody's user embeddings, from sums.

A phase after the rounds, with the item vectors Q as they are. The query of client u in context c is p_u + e_c, with
e_c = Σ_f E_f[c_f] (`feature_store.query_tower`), p_u folded in as ever. Over the client's n meetings of item i in c

    L_u(E) = w_u Σ_(i,c) [ (1 − (p_u + e_c)·q_i)² + (α/n) Σ_j ((p_u + e_c)·q_j)² ]

which for E = 0 is the loss that p_u minimises: what was spread over all items once a client is spread over its
meetings. Half the gradient with respect to E_v, summed over the meetings in which value v stands, is

    g_v = w_u Σ_(i,c ∋ v) [ ((p_u + e_c)·q_i − 1) q_i + (α/n) QᵀQ (p_u + e_c) ]

and half the Hessian w_u Σ_(i,c ∋ v) [q_i q_iᵀ + (α/n) QᵀQ]. Its first part would take a dim × dim matrix a value; for
q_i q_iᵀ stands M, the mean over all meetings, known from the public item counts: M = Σ_i c_i q_i q_iᵀ / Σ_i c_i. So

    H_v = k_v M + α s_v QᵀQ + ρ I       k_v = Σ w_u, s_v = Σ w_u / n over the meetings with v
    E_v ← E_v − (1/F) H_v⁻¹ (g_v + ρ E_v)

with F features. They share each meeting, and F times the block diagonal of a sum of squares of F terms bounds the
whole from above: a step of 1/F in all blocks at once cannot overshoot as far as the M of a value is what M says.
ρ keeps a value that few have met in near zero. g_v, k_v and s_v add over clients; their shapes follow from the
settings (which values there are) and dim, and are the same for everybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in_many
from feature_store.query_tower import ContextValue, QueryTower
from training.activity import activity_roots
from training.client_update import ClientUpdate
from training.cohort import disjoint_cohorts, population
from training.context_settings import ContextSettings
from training.histories import Histories

CONTEXT_GRADIENT = "context_gradient"
CONTEXT_COUNTS = "context_counts"
CONTEXT_SHARES = "context_shares"
_MEETINGS = 1 << 15  # held at a time, as a few rows of dim numbers each


@dataclass(frozen=True, slots=True, eq=False)
class TrainedContext:
    """What the clients' sums came to.

    query_tower: the vectors.
    uplink_bytes_per_client: what each client sent, in all rounds.
    losses: L over all clients before each round, without the ridge.
    """

    query_tower: QueryTower
    uplink_bytes_per_client: int
    losses: tuple[float, ...]


def train_context(
    item_vectors: Float32Array,
    item_counts: Float32Array,
    train: Histories,
    rows: Int32Array,
    values: tuple[ContextValue, ...],
    fold_in: FoldInSettings,
    cohort: int,
    seed: int,
    settings: ContextSettings,
) -> TrainedContext:
    """Let each client send once a round, in disjoint cohorts, and step from their sum.

    User embeddings do not change here, and a client folds itself in once: clients × dim numbers are held.

    Args:
        item_vectors: Q, shape (items, dim); stays as it is.
        item_counts: people who met each item, as the rounds have estimated it.
        train: the clients' histories.
        rows: of each entry of train.rows the places of its context among the values, -1 for none; (entries, features).
        values: what gets a vector.
        fold_in: the weights of the loss.
        cohort: clients at a time.
        seed: of who is in which cohort.
        settings: see there.

    Raises:
        BadInput: there are not as many rows as entries.
    """
    if len(rows) != len(train.rows):
        raise BadInput(f"each entry of a history has a context; got {len(train.rows)} entries and {len(rows)} contexts")
    item_gram = item_vectors.T @ item_vectors
    cohorts = disjoint_cohorts(population(train), cohort, seed)
    embeddings = [fold_in_many(item_vectors, item_gram, [train[u] for u in members], fold_in) for members in cohorts]
    vectors = np.zeros((len(values), item_vectors.shape[1]), np.float32)
    losses, uplink = [], 0
    for _ in range(settings.rounds):
        updates = (
            context_update(
                vectors,
                item_vectors,
                item_gram,
                of_members,
                [train[u] for u in members],
                [rows[train.offsets[u] : train.offsets[u + 1]] for u in members],
                fold_in.alpha,
                settings.activity_exponent,
            )
            for members, of_members in zip(cohorts, embeddings, strict=True)
        )
        total = next(updates)
        for update in updates:
            total += update
        losses.append(total.loss)
        uplink += total.uplink_bytes
        vectors = context_step(vectors, total, item_vectors, item_counts, fold_in.alpha, settings)
    scaled = np.float32(settings.weight) * vectors
    return TrainedContext(QueryTower(vectors.shape[1], dict(zip(values, scaled, strict=True))), uplink, tuple(losses))


def context_update(
    vectors: Float32Array,
    item_vectors: Float32Array,
    item_gram: Float32Array,
    embeddings: Float32Array,
    histories: Sequence[Int32Array],
    contexts: Sequence[Int32Array],
    alpha: float,
    activity_exponent: float = 0.0,
) -> ClientUpdate:
    """The summed update of some clients.

    Args:
        vectors: E, shape (values, dim).
        item_vectors: Q, shape (items, dim).
        item_gram: QᵀQ.
        embeddings: p_u of each client, shape (clients, dim).
        histories: the item rows of each client.
        contexts: of each item the rows of E that its meeting had, -1 for none, shape (n, features).
        alpha: α of the loss.
        activity_exponent: x of the clients' weights w = n^(−x).

    Returns:
        Summed over clients:
        context_gradient, (values, dim): g_v, half the gradient of L.
        context_counts, (values,): w for each meeting with the value.
        context_shares, (values,): w/n for each.
    """
    lengths = np.array([len(history) for history in histories], np.int64)
    weights = np.square(activity_roots(lengths, activity_exponent))
    clients = np.repeat(np.arange(len(lengths)), lengths)
    items, rows = np.concatenate(histories), np.concatenate(contexts)
    values, dim = vectors.shape
    gradient = np.zeros((values, dim), np.float32)
    counts, shares = np.zeros(values, np.float32), np.zeros(values, np.float32)
    loss = 0.0
    for some in _slices(len(items)):
        of = clients[some]
        weight = weights[of]
        share = weight / lengths[of].astype(np.float32)
        stands = _indicators(rows[some], values)
        queries = embeddings[of] + stands @ vectors
        met = item_vectors[items[some]]
        missing = np.einsum("nd,nd->n", queries, met) - 1
        drawn = np.float32(alpha) * (queries @ item_gram)
        gradient += stands.T @ ((weight * missing)[:, None] * met + share[:, None] * drawn)
        counts += stands.T @ weight
        shares += stands.T @ share
        loss += float(weight @ np.square(missing) + share @ np.einsum("nd,nd->n", queries, drawn))
    sums = {CONTEXT_GRADIENT: gradient, CONTEXT_COUNTS: counts, CONTEXT_SHARES: shares}
    return ClientUpdate(sums, loss, len(histories))


def context_step(
    vectors: Float32Array,
    update: ClientUpdate,
    item_vectors: Float32Array,
    item_counts: Float32Array,
    alpha: float,
    settings: ContextSettings,
) -> Float32Array:
    """The server's step: E after it, shape (values, dim).

    Args:
        vectors: E before.
        update: of everybody, from `context_update`.
        item_vectors: Q.
        item_counts: people who met each item, shape (items,).
        alpha: α of the loss.
        settings: the features, whose number the step is divided by, and ρ.
    """
    old, Q = vectors.astype(np.float64), item_vectors.astype(np.float64)
    shares_of_items = item_counts.astype(np.float64) / max(float(item_counts.sum(dtype=np.float64)), 1.0)
    mean_met = Q.T @ (shares_of_items[:, None] * Q)
    counts, shares = (update.sums[name].astype(np.float64)[:, None, None] for name in (CONTEXT_COUNTS, CONTEXT_SHARES))
    ridge = settings.regularization * np.eye(Q.shape[1])
    curvature = counts * mean_met + alpha * shares * (Q.T @ Q) + ridge
    gradient: Float64Array = update.sums[CONTEXT_GRADIENT] + settings.regularization * old
    step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    stepped: Float32Array = (old - step / len(settings.features)).astype(np.float32)
    return stepped


def _indicators(rows: Int32Array, values: int) -> Float32Array:
    """1 where a meeting had the value, shape (meetings, values)."""
    stands = np.zeros((len(rows), values), np.float32)
    meetings: Int64Array
    meetings, features = np.nonzero(rows >= 0)
    stands[meetings, rows[meetings, features]] = 1
    return stands


def _slices(length: int) -> Iterator[slice]:
    return (slice(start, start + _MEETINGS) for start in range(0, length, _MEETINGS))
