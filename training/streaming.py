"""Streaming: the curvature client's sums on a CPU, a bounded piece of the cohort at a time.

Three things make it fast. (1) In the eigenbasis of QᵀQ the part of a client's system that all share is diagonal, so
that conjugate gradients solve it in a few steps (`training.conjugate_gradients`). (2) Clients of like length go in
one array, so that little is padded, and the arrays stay small enough for a core's cache. (3) What clients add to
an item is gathered the same way: entries sorted by item, items of like count in one array. Each item is written by
one array only, so that threads never meet, and the sums come out the same whichever is first.

Memory: the item vectors, the sums, and the entries of one piece. The work of a piece does not depend on how many
items there are.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from feature_store.fold_in import FoldInSettings
from training.activity import activity_roots
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.conjugate_gradients import solve
from training.histories import stored
from training.padding import like_lengths
from training.small_products import gram, product

CELLS = 1 << 13  # entries of a padded array: at dim 64 its vectors fill 2 MiB, the cache of a core
PIECE = 1 << 18  # entries read at a time: 2,600 clients of a hundred items


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def streamed_update(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    cells: int = CELLS,
    piece: int = PIECE,
    activity_exponent: float = 0.0,
) -> ClientUpdate:
    """The update that `training.reconstruction.curvature_update` tells of.

    Args:
        item_vectors: Q, shape (items, dim).
        histories: of the cohort; of those on disk one piece at a time is read.
        settings: the weights α and λ of the loss.
        cells: entries of a padded array.
        piece: entries read at a time; a longer history is a piece of its own.
        activity_exponent: x of the clients' weights.
    """
    catalogue = _Catalogue.of(item_vectors, settings)
    items, dim = item_vectors.shape
    gradient = np.zeros((items, dim), np.float32)
    user_gram = np.zeros((dim, dim), np.float32)
    energy, counts = np.zeros(items, np.float32), np.zeros(items, np.float32)
    loss, clients, weight = 0.0, 0, 0.0
    with ThreadPoolExecutor(cores()) as threads:
        for entries in _pieces(histories, piece):
            embeddings, residuals, local = _reconstruct(entries, catalogue, cells, threads)
            roots = activity_roots(entries.lengths, activity_exponent)
            embeddings *= roots[:, None]
            residuals *= np.repeat(roots, entries.lengths)
            user_gram += gram(embeddings)
            loss += local
            clients += len(embeddings)
            weight += float(np.square(roots).sum(dtype=np.float64))
            _add_by_item(entries, embeddings, residuals, (gradient, energy, counts), cells, threads)
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

    turned: Q V and a row of zeros for padding, shape (items + 1, dim).
    basis: V, shape (dim, dim).
    shared: α d, shape (dim,): the diagonal that all clients' systems have.
    share: d / items, shape (dim,): what one item met adds to the diagonal, about.
    """

    turned: Float32Array
    basis: Float32Array
    shared: Float32Array
    share: Float32Array
    settings: FoldInSettings

    @classmethod
    def of(cls, item_vectors: Float32Array, settings: FoldInSettings) -> "_Catalogue":
        items, dim = item_vectors.shape
        values, vectors = np.linalg.eigh(gram(item_vectors).astype(np.float64))
        basis = vectors.astype(np.float32)
        turned = np.zeros((items + 1, dim), np.float32)
        turned[:-1] = product(item_vectors, basis)
        spread = np.maximum(values, 0)
        shared, share = (settings.alpha * spread).astype(np.float32), (spread / items).astype(np.float32)
        return cls(turned, basis, shared, share, settings)

    @property
    def items(self) -> int:
        return len(self.turned) - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """A piece of the cohort: item rows of its clients one after the other, and where each client begins."""

    rows: Int32Array
    starts: Int64Array
    lengths: Int64Array


def _pieces(histories: Sequence[Int32Array], most: int) -> Iterator[_Entries]:
    population, clients = stored(histories)
    lengths = population.offsets[clients + 1] - population.offsets[clients]
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        before = ends[first] - lengths[first]
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        starts = ends[first:last] - lengths[first:last] - before
        yield _Entries(population.read(clients[first:last]), starts, lengths[first:last])
        first = last


def _reconstruct(
    entries: _Entries, catalogue: _Catalogue, cells: int, threads: ThreadPoolExecutor
) -> tuple[Float32Array, Float32Array, float]:
    """The user embeddings, (clients, dim); p·q − 1 of each entry, (entries,); and the summed local loss."""
    alpha, regularization = np.float32(catalogue.settings.alpha), np.float32(catalogue.settings.regularization)
    order = np.argsort(-entries.lengths, kind="stable")
    lengths, starts = entries.lengths[order], entries.starts[order]
    turned = np.empty((len(order), len(catalogue.shared)), np.float32)
    residuals = np.empty(len(entries.rows), np.float32)
    ridges = regularization * (lengths.astype(np.float32) + alpha * np.float32(catalogue.items))

    def reconstruct(batch: slice, memory: Float32Array) -> None:
        where, present = _rectangle(starts[batch], lengths[batch])
        rows = np.where(present, entries.rows.take(where, mode="clip"), catalogue.items)
        vectors = _taken(catalogue.turned, rows, memory)
        right = (np.ones((1, rows.shape[1]), np.float32) @ vectors)[:, 0]
        diagonal = catalogue.shared + ridges[batch, None]
        scale = diagonal + lengths[batch, None].astype(np.float32) * catalogue.share
        solution = solve(vectors, diagonal, scale, right)
        turned[order[batch]] = solution
        residuals[where[present]] = (vectors @ solution[:, :, None])[:, :, 0][present] - 1

    _share_out(threads, reconstruct, lengths, turned.shape[1], cells)
    squares = np.square(turned)
    loss = (
        float(np.dot(residuals, residuals))
        + float((squares @ catalogue.shared).sum())
        + float(np.dot(squares.sum(axis=1)[order], ridges))
    )
    return product(turned, catalogue.basis.T), residuals, loss


def _add_by_item(
    entries: _Entries,
    embeddings: Float32Array,
    residuals: Float32Array,
    sums: tuple[Float32Array, Float32Array, Float32Array],
    cells: int,
    threads: ThreadPoolExecutor,
) -> None:
    """Add to the items' gradients, energies and counts, in place, what the entries bring."""
    gradient, energy, counts = sums
    # One number an entry, item first: sorting these is several times faster than a stable argsort of the rows.
    keys = np.sort(entries.rows.astype(np.int64) << 32 | np.arange(len(entries.rows)))
    by_item = keys & 0xFFFFFFFF
    rows = keys >> 32
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    met = rows[starts]
    clients = np.repeat(np.arange(len(embeddings), dtype=np.int32), entries.lengths)[by_item]
    weights = residuals[by_item]
    energies = np.vecdot(embeddings, embeddings)[clients]

    def add(batch: slice, memory: Float32Array) -> None:
        where, present = _rectangle(starts[batch], lengths[batch])
        weight = np.where(present, weights.take(where, mode="clip"), 0)
        brought = weight[:, None, :] @ _taken(embeddings, clients.take(where, mode="clip"), memory)
        gradient[met[batch]] += brought[:, 0]
        energy[met[batch]] += np.where(present, energies.take(where, mode="clip"), 0).sum(axis=1)

    counts[met] += lengths
    _share_out(threads, add, lengths, embeddings.shape[1], cells)


def _rectangle(starts: Int64Array, lengths: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Positions of entries as rows of equal length, and which of them are there; lengths fall."""
    column = np.arange(max(1, lengths[0]))
    return starts[:, None] + column, column < lengths[:, None]


def _taken(vectors: Float32Array, rows: Int32Array, memory: Float32Array) -> Float32Array:
    """vectors[rows], put into the memory that earlier batches have used: fresh memory costs more than the copy."""
    dim = vectors.shape[1]
    out = memory[: rows.size * dim].reshape(*rows.shape, dim)
    return vectors.take(rows, axis=0, out=out, mode="clip")  # "raise" would copy once more


def _share_out(
    threads: ThreadPoolExecutor,
    work: Callable[[slice, Float32Array], None],
    lengths: Int64Array,
    dim: int,
    cells: int,
) -> None:
    """Do the work of each batch of like length, with memory for its vectors; a thread takes every n-th batch."""
    batches = list(like_lengths(lengths, cells))
    largest = max((batch.stop - batch.start) * max(1, int(lengths[batch.start])) for batch in batches)
    shares = [batches[worker :: cores()] for worker in range(min(cores(), len(batches)))]

    def take_on(share: list[slice]) -> None:
        memory = np.empty(largest * dim, np.float32)
        for batch in share:
            work(batch, memory)

    if len(shares) == 1:  # one alone is not worth a thread
        take_on(shares[0])
        return
    for _ in threads.map(take_on, shares):  # raises here what a thread has raised
        pass
