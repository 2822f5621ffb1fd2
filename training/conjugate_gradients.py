"""Conjugate gradients: the small systems of a whole batch of clients, solved at once.

A client's system is (XᵀX + D) p = b, with X the item vectors it has met and D diagonal. Preconditioned conjugate
gradients (Hestenes and Stiefel 1952; Saad 2003, algorithm 9.1) need products with X and Xᵀ alone: 4·items·dim
operations a step. Where the diagonal of D stands well above the rest, as in the basis that
`training.streaming` takes, float32 is exhausted after about six steps, and XᵀX with its dim² an item, and a
factorisation with its dim³/3, are never paid for.
"""

import numpy as np

from feature_store.arrays import Float32Array

TOLERANCE = 1e-6  # of b: what float32 leaves of a residual
_LONG = 2  # from this many dims on, XᵀX is cheaper to form once than X is to read in each step
_TINY = np.float32(np.finfo(np.float32).tiny)  # makes 0 of 0/0: a client whose vectors are all zero


def solve(vectors: Float32Array, diagonal: Float32Array, scale: Float32Array, right: Float32Array) -> Float32Array:
    """The solutions p of (XᵀX + D) p = b, one for each client.

    Args:
        vectors: X, shape (clients, longest, dim); rows of zeros where a history has ended.
        diagonal: D > 0, shape (clients, dim).
        scale: the preconditioner, about the diagonal of XᵀX + D and > 0, shape (clients, dim).
        right: b, shape (clients, dim).

    Returns:
        p, shape (clients, dim), with a residual r = b − (XᵀX + D) p of at most `TOLERANCE` times b, both in the norm
        |r|² = Σ_j r_j² / scale_j, which the steps know anyway. Clients for whom 2·dim steps do not give that, as with
        hardly any regularisation, are solved directly, in double precision.
    """
    dim = vectors.shape[2]
    gram = vectors.transpose(0, 2, 1) @ vectors if vectors.shape[1] > _LONG * dim else None

    def product(p: Float32Array) -> Float32Array:
        column = p[:, :, None]
        ahead: Float32Array = diagonal * p
        ahead += ((vectors @ column).transpose(0, 2, 1) @ vectors)[:, 0] if gram is None else (gram @ column)[:, :, 0]
        return ahead

    solution = np.zeros_like(right)
    residual = right.copy()
    scaled = residual / scale
    direction = scaled.copy()
    descent = np.vecdot(residual, scaled)
    goal = np.float32(TOLERANCE**2) * descent
    unsolved = goal > 0
    moved = np.empty_like(right)
    for _ in range(2 * dim):
        ahead = product(direction)
        step = (descent / np.maximum(np.vecdot(direction, ahead), _TINY))[:, None]
        solution += np.multiply(step, direction, out=moved)
        residual -= np.multiply(step, ahead, out=ahead)
        np.divide(residual, scale, out=scaled)
        before, descent = descent, np.vecdot(residual, scaled)
        unsolved = ~(descent <= goal)  # not (>): a NaN is unsolved
        if not unsolved.any():
            return solution
        direction *= (descent / np.maximum(before, _TINY))[:, None]
        direction += scaled
    solution[unsolved] = _directly(vectors[unsolved], diagonal[unsolved], right[unsolved])
    return solution


def _directly(vectors: Float32Array, diagonal: Float32Array, right: Float32Array) -> Float32Array:
    exact = vectors.astype(np.float64)
    systems = exact.transpose(0, 2, 1) @ exact
    ridge = np.arange(vectors.shape[2])
    systems[:, ridge, ridge] += diagonal
    solution: Float32Array = np.linalg.solve(systems, right[:, :, None])[:, :, 0].astype(np.float32)
    return solution
