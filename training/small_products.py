"""Small products: large matrices multiplied in blocks for which BLAS starts no threads of its own.

OpenBLAS, which numpy brings, shares a large product out to threads that go on spinning for some 25 ms when it is done.
Where other threads wait for the cores, as in `training.streaming`, that costs more than the product. In blocks a
product is also the same bits for any number of BLAS threads.
"""

import numpy as np

from feature_store.arrays import Float32Array

_SERIAL = 1 << 18  # multiplications of a product up to which OpenBLAS stays in the thread that asks
_BLOCKS = 64  # blocks of `gram` added at a time, so that they stay in the cache
_TILE = 64  # columns of `gram` at a time: at dim 256 blocks of four rows would take twenty times as long


def product(left: Float32Array, right: Float32Array) -> Float32Array:
    """The matrix left @ right, for many rows on the left and a small matrix on the right."""
    rows, depth = left.shape
    block = max(1, _SERIAL // max(1, right.size))
    whole = rows - rows % block
    result = np.empty((rows, right.shape[1]), np.float32)
    shape = (whole // block, block)
    np.matmul(left[:whole].reshape(*shape, depth), right, out=result[:whole].reshape(*shape, right.shape[1]))
    np.matmul(left[whole:], right, out=result[whole:])
    return result


def gram(matrix: Float32Array) -> Float32Array:
    """matrixᵀ @ matrix, shape (dim, dim), for many rows."""
    dim = matrix.shape[1]
    columns = [slice(start, start + _TILE) for start in range(0, dim, _TILE)]
    total = np.empty((dim, dim), np.float32)
    for place, left in enumerate(columns):
        for right in columns[place:]:
            total[left, right] = _over_rows(matrix[:, left], matrix[:, right])
            total[right, left] = total[left, right].T
    return total


def _over_rows(left: Float32Array, right: Float32Array) -> Float32Array:
    """leftᵀ @ right."""
    block = max(1, _SERIAL // (left.shape[1] * right.shape[1]))
    total = np.zeros((left.shape[1], right.shape[1]), np.float32)
    for start in range(0, len(left), block * _BLOCKS):
        rows, others = left[start : start + block * _BLOCKS], right[start : start + block * _BLOCKS]
        whole = len(rows) - len(rows) % block
        blocks, facing = (part[:whole].reshape(-1, block, part.shape[1]) for part in (rows, others))
        total += (blocks.transpose(0, 2, 1) @ facing).sum(axis=0)
        total += rows[whole:].T @ others[whole:]
    return total
