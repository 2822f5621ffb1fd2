"""Streaming: the curvature client's sums on a CPU, a bounded piece of the cohort at a time.

Three things make it fast. (1) In the eigenbasis of QᵀQ the part of a client's system that all share is diagonal, so
that conjugate gradients solve it in a few steps. (2) They are compiled, a client at a time, so that what a client has
met stays in a core's cache (`training.client_kernel`). (3) Entries are sorted by item before they are added up. Each
item is written by one thread only, so that threads never meet, and the sums come out the same whichever is first.

Memory: the item vectors, the sums, and the entries of one piece. The work of a piece is in proportion to its entries,
but for one number an item.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from training.activity import activity_roots
from training.client_kernel import add_by_item, reconstruct_clients, sort_by_item
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.histories import stored
from training.shares import cores, share_out
from training.small_products import gram, product
from training.user_bound import UNBOUNDED, UserBound

SHARE = 1 << 12  # entries that a thread takes at a time: a fraction of a millisecond, so that all are done together
PIECE = 1 << 18  # entries read at a time: 2,600 clients of a hundred items


def streamed_update(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    share: int = SHARE,
    piece: int = PIECE,
    activity_exponent: float = 0.0,
    bound: UserBound = UNBOUNDED,
) -> ClientUpdate:
    """The update that `training.reconstruction.curvature_update` tells of.

    Args:
        item_vectors: Q, shape (items, dim).
        histories: of the cohort; of those on disk one piece at a time is read.
        settings: the weights α and λ of the loss.
        share: entries that a thread takes at a time.
        piece: entries read at a time; a longer history is a piece of its own.
        activity_exponent: x of the clients' weights.
        bound: on what one client adds.

    Raises:
        BadInput: a history names an item row that the item vectors do not have.
    """
    catalogue = _Catalogue.of(item_vectors, settings)
    items, dim = item_vectors.shape
    gradient = np.zeros((items, dim), np.float32)
    user_gram = np.zeros((dim, dim), np.float32)
    energy, counts = np.zeros(items, np.float32), np.zeros(items, np.float32)
    loss, clients, weight = 0.0, 0, 0.0
    with ThreadPoolExecutor(cores()) as threads:
        for entries in _pieces(histories, piece):
            _require_known(entries.rows, items)
            sorting = threads.submit(_ByItem.of, entries, items)
            embeddings, residuals, local = _reconstruct(entries, catalogue, share, threads)
            roots = activity_roots(entries.lengths, activity_exponent)
            roots = bound.lowered(roots, embeddings, residuals, entries.offsets)
            embeddings *= roots[:, None]
            residuals *= np.repeat(roots, entries.lengths)
            user_gram += gram(embeddings)
            loss += local
            clients += len(embeddings)
            weight += float(np.square(roots).sum(dtype=np.float64))
            _add(sorting.result(), embeddings, residuals, (gradient, energy, counts), share, threads)
    sums = {
        "item_gradient": gradient,
        "user_gram": user_gram,
        "item_energy": energy,
        ITEM_COUNTS: counts,
        ACTIVITY: np.array([weight], np.float32),
    }
    return ClientUpdate(sums, loss, clients)


@dataclass(frozen=True, slots=True, eq=False)
class _Catalogue:
    """The item vectors, turned into the eigenbasis V of QᵀQ = V diag(d) Vᵀ.

    turned: Q V, shape (items, dim).
    basis: V, shape (dim, dim).
    shared: α d, shape (dim,): the diagonal that all clients' systems have.
    per_item: d / items, shape (dim,): what one item met adds to the diagonal, about.
    """

    turned: Float32Array
    basis: Float32Array
    shared: Float32Array
    per_item: Float32Array
    settings: FoldInSettings

    @classmethod
    def of(cls, item_vectors: Float32Array, settings: FoldInSettings) -> "_Catalogue":
        items = len(item_vectors)
        values, vectors = np.linalg.eigh(gram(item_vectors).astype(np.float64))
        basis = vectors.astype(np.float32)
        spread = np.maximum(values, 0)
        shared, per_item = (settings.alpha * spread).astype(np.float32), (spread / items).astype(np.float32)
        return cls(product(item_vectors, basis), basis, shared, per_item, settings)

    @property
    def items(self) -> int:
        return len(self.turned)


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """A piece of the cohort: item rows of its clients one after the other, and where each client begins and ends."""

    rows: Int32Array
    offsets: Int64Array

    @property
    def lengths(self) -> Int64Array:
        return np.diff(self.offsets)


def _pieces(histories: Sequence[Int32Array], most: int) -> Iterator[_Entries]:
    population, clients = stored(histories)
    lengths = population.offsets[clients + 1] - population.offsets[clients]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    first = 0
    while first < len(lengths):
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1)
        yield _Entries(population.read(clients[first:last]), offsets[first : last + 1] - offsets[first])
        first = last


def _require_known(rows: Int32Array, items: int) -> None:
    """Compiled code looks nothing up twice: a row that is not there would be memory of something else."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < items:
        raise BadInput(f"histories name item rows from {rows.min()} to {rows.max()}, and there are {items} items")


@dataclass(frozen=True, slots=True, eq=False)
class _ByItem:
    """The entries of a piece sorted by item: see `training.client_kernel.sort_by_item`."""

    offsets: Int64Array
    entries: Int32Array
    clients: Int32Array

    @classmethod
    def of(cls, entries: _Entries, items: int) -> "_ByItem":
        count = len(entries.rows)
        result = cls(np.zeros(items + 2, np.int64), np.empty(count, np.int32), np.empty(count, np.int32))
        sort_by_item(entries.rows, entries.offsets, result.offsets, result.entries, result.clients)
        return result


def _reconstruct(
    entries: _Entries, catalogue: _Catalogue, share: int, threads: ThreadPoolExecutor
) -> tuple[Float32Array, Float32Array, float]:
    """The user embeddings, (clients, dim); p·q − 1 of each entry, (entries,); and the summed local loss."""
    alpha, regularization = np.float32(catalogue.settings.alpha), np.float32(catalogue.settings.regularization)
    lengths = entries.lengths
    ridges = regularization * (lengths.astype(np.float32) + alpha * np.float32(catalogue.items))
    turned = np.empty((len(lengths), len(catalogue.shared)), np.float32)
    residuals = np.empty(len(entries.rows), np.float32)
    losses, solved = np.empty(len(lengths)), np.empty(len(lengths), np.bool_)

    def reconstruct(first: int, last: int, memory: Float32Array) -> None:
        reconstruct_clients(
            first,
            last,
            memory,
            entries.rows,
            entries.offsets,
            catalogue.turned,
            catalogue.shared,
            catalogue.per_item,
            ridges,
            turned,
            residuals,
            losses,
            solved,
        )

    longest = (int(lengths.max()), len(catalogue.shared))
    share_out(threads, reconstruct, entries.offsets, share, longest)
    for client in np.flatnonzero(~solved):
        here = slice(entries.offsets[client], entries.offsets[client + 1])
        vectors, diagonal = catalogue.turned[entries.rows[here]], catalogue.shared + ridges[client]
        turned[client] = directly(vectors, diagonal)
        residuals[here] = vectors @ turned[client] - 1
        losses[client] = residuals[here] @ residuals[here] + np.square(turned[client]) @ diagonal
    return product(turned, catalogue.basis.T), residuals, float(losses.sum())


def directly(vectors: Float32Array, diagonal: Float32Array) -> Float32Array:
    """The solution p of (XᵀX + D) p = Xᵀ1 in double precision, where conjugate gradients do not get to it.

    Args:
        vectors: X, shape (items, dim).
        diagonal: D, shape (dim,).
    """
    exact = vectors.astype(np.float64)
    solution: Float32Array = np.linalg.solve(exact.T @ exact + np.diag(diagonal), exact.sum(axis=0)).astype(np.float32)
    return solution


def _add(
    by_item: _ByItem,
    embeddings: Float32Array,
    residuals: Float32Array,
    sums: tuple[Float32Array, Float32Array, Float32Array],
    share: int,
    threads: ThreadPoolExecutor,
) -> None:
    """Add to the items' gradients, energies and counts, in place, what the entries bring."""
    energies = np.vecdot(embeddings, embeddings)

    def add(first: int, last: int, brought: Float32Array) -> None:
        sorted_entries = (by_item.offsets, by_item.entries, by_item.clients)
        add_by_item(first, last, brought, *sorted_entries, embeddings, energies, residuals, *sums)

    share_out(threads, add, by_item.offsets[:-1], share, embeddings.shape[1:])
