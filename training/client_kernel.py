"""The client kernel: the update of one client after the other, written out for the compiler.

A client's system is (XᵀX + D) p = Xᵀ1, with X the item vectors it has met and D diagonal. Preconditioned conjugate
gradients (Hestenes and Stiefel 1952; Saad 2003, algorithm 9.1) need products with X and Xᵀ alone: 4·items·dim
operations a step. Where D stands well above the rest, as in the basis that `training.streaming` takes, float32 is
exhausted after about six steps, and XᵀX with its dim² an item, and a factorisation with its dim³/3, are never paid
for. X is copied together once and stays in the core's cache over all steps.

Nothing here depends on how the work is shared out: a client is computed alone, and an item's sums are taken over its
entries in the order of the clients.
"""

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.compiled import compiled, inner

TOLERANCE = np.float32(1e-6)  # of the right side: what float32 leaves of a residual


@compiled
def reconstruct_clients(
    first: int,
    last: int,
    vectors: Float32Array,
    rows: Int32Array,
    offsets: Int64Array,
    item_vectors: Float32Array,
    shared: Float32Array,
    per_item: Float32Array,
    ridges: Float32Array,
    embeddings: Float32Array,
    residuals: Float32Array,
    losses: Float64Array,
    solved: BoolArray,
) -> None:
    """Solve for the user embeddings of the clients from `first` up to `last`, and write down what follows from them.

    Args:
        first: client to begin with.
        last: client to end before.
        vectors: memory for X, shape (longest, dim).
        rows: item rows of all clients, one after the other.
        offsets: shape (clients + 1,); client u has rows[offsets[u]:offsets[u + 1]].
        item_vectors: in the basis in which D is diagonal, shape (items, dim).
        shared: what the diagonals of all clients have in common, shape (dim,); D is `shared` plus the client's ridge.
        per_item: about what one item adds to the diagonal of XᵀX, shape (dim,), for the preconditioner.
        ridges: > 0, shape (clients,).
        embeddings: p, written; shape (clients, dim).
        residuals: X p − 1, written; shape (entries,).
        losses: |X p − 1|² + pᵀ D p, written; shape (clients,).
        solved: written; shape (clients,). Whether the residual r = Xᵀ1 − (XᵀX + D) p came down to `TOLERANCE` times
            the right side within 2·dim steps, both in the norm |r|² = Σ_j r_j² / (D_j + n·per_item_j). With a NaN it
            did not.
    """
    dim = len(shared)
    diagonal, preconditioner, right = np.empty_like(shared), np.empty_like(shared), np.empty_like(shared)
    for client in range(first, last):
        start, stop = offsets[client], offsets[client + 1]
        met, embedding, residual = vectors[: stop - start], embeddings[client], residuals[start:stop]
        _gather(item_vectors, rows[start:stop], met, right)
        for j in range(dim):
            diagonal[j] = shared[j] + ridges[client]
            preconditioner[j] = 1 / (diagonal[j] + np.float32(stop - start) * per_item[j])
        solved[client] = _conjugate_gradients(met, diagonal, preconditioner, right, embedding)
        losses[client] = _loss(met, diagonal, embedding, residual)


@inner
def _gather(item_vectors: Float32Array, rows: Int32Array, met: Float32Array, right: Float32Array) -> None:
    """X, and Xᵀ1."""
    right[:] = 0
    for i in range(len(rows)):
        vector = item_vectors[rows[i]]
        for j in range(len(right)):
            met[i, j] = vector[j]
            right[j] += vector[j]


@inner
def _conjugate_gradients(
    met: Float32Array,
    diagonal: Float32Array,
    preconditioner: Float32Array,
    residual: Float32Array,
    solution: Float32Array,
) -> bool:
    """Solve (XᵀX + D) p = b; `residual` holds b and is used up. Returns whether `TOLERANCE` was reached."""
    dim = len(diagonal)
    direction, ahead = preconditioner * residual, np.empty_like(residual)
    solution[:] = 0
    descent = _dot(residual, direction)
    goal = TOLERANCE * TOLERANCE * descent
    for _ in range(2 * dim):
        if descent <= goal:
            break
        _multiply(met, diagonal, direction, ahead)
        step = descent / _dot(direction, ahead)
        before, descent = descent, np.float32(0)
        for j in range(dim):
            solution[j] += step * direction[j]
            residual[j] -= step * ahead[j]
            descent += residual[j] * residual[j] * preconditioner[j]
        for j in range(dim):
            direction[j] = preconditioner[j] * residual[j] + descent / before * direction[j]
    return bool(descent <= goal)


@inner
def _multiply(met: Float32Array, diagonal: Float32Array, vector: Float32Array, product: Float32Array) -> None:
    """(XᵀX + D) times a vector, in one pass over X."""
    for j in range(len(vector)):
        product[j] = diagonal[j] * vector[j]
    for i in range(len(met)):
        score = _dot(met[i], vector)
        for j in range(len(vector)):
            product[j] += score * met[i, j]


@inner
def _loss(met: Float32Array, diagonal: Float32Array, embedding: Float32Array, residual: Float32Array) -> np.float32:
    loss = np.float32(0)
    for i in range(len(met)):
        residual[i] = _dot(met[i], embedding) - np.float32(1)
        loss += residual[i] * residual[i]
    for j in range(len(embedding)):
        loss += diagonal[j] * embedding[j] * embedding[j]
    return loss


@inner
def _dot(left: Float32Array, right: Float32Array) -> np.float32:
    total = np.float32(0)
    for j in range(len(left)):
        total += left[j] * right[j]
    return total


@compiled
def sort_by_item(
    rows: Int32Array, offsets: Int64Array, item_offsets: Int64Array, entries: Int32Array, clients: Int32Array
) -> None:
    """Sort entries by item, those of an item in the order of the clients: by counting, in two passes.

    Args:
        rows: item rows of all clients, one after the other.
        offsets: shape (clients + 1,); client u has rows[offsets[u]:offsets[u + 1]].
        item_offsets: zeros, shape (items + 2,). Written: sorted, item i has the entries from item_offsets[i] up to
            item_offsets[i + 1].
        entries: written; shape (entries,). Which entry it was.
        clients: written; shape (entries,). Whose entry it was.
    """
    for row in rows:
        item_offsets[row + 2] += 1
    for item in range(2, len(item_offsets)):
        item_offsets[item] += item_offsets[item - 1]
    for client in range(len(offsets) - 1):
        for entry in range(offsets[client], offsets[client + 1]):
            place = item_offsets[rows[entry] + 1]
            item_offsets[rows[entry] + 1] += 1
            entries[place] = entry
            clients[place] = client


@compiled
def add_by_item(
    first: int,
    last: int,
    brought: Float32Array,
    item_offsets: Int64Array,
    entries: Int32Array,
    clients: Int32Array,
    embeddings: Float32Array,
    energies: Float32Array,
    residuals: Float32Array,
    gradient: Float32Array,
    energy: Float32Array,
    counts: Float32Array,
) -> None:
    """Add to the items from `first` up to `last` what their entries bring, residual times p, |p|² and 1.

    Args:
        first: item to begin with.
        last: item to end before.
        brought: memory for an item's gradient, shape (dim,).
        item_offsets: as `sort_by_item` has written it, and so are the next two.
        entries: which entry each is, sorted by item.
        clients: whose entry each is, sorted by item.
        embeddings: p, shape (clients, dim).
        energies: |p|², shape (clients,).
        residuals: shape (entries,).
        gradient: added to; shape (items, dim).
        energy: added to; shape (items,).
        counts: added to; shape (items,).
    """
    for item in range(first, last):
        start, stop = item_offsets[item], item_offsets[item + 1]
        if start == stop:
            continue
        brought[:] = 0  # of this piece alone: added to one by one, a sum over everybody would round each of them away
        brought_energy = np.float32(0)
        for place in range(start, stop):
            client, residual = clients[place], residuals[entries[place]]
            brought_energy += energies[client]
            for j in range(len(brought)):
                brought[j] += residual * embeddings[client, j]
        energy[item] += brought_energy
        counts[item] += np.float32(stop - start)
        for j in range(len(brought)):
            gradient[item, j] += brought[j]
