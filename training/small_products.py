"""Small products: large matrices multiplied in blocks for which BLAS starts no threads of its own.

OpenBLAS, which numpy brings, shares a large product out to threads that go on spinning for some 25 ms when it is done.
Where other threads wait for the cores, as in `training.streaming`, that costs more than the product. In blocks a
product is also the same bits for any number of BLAS threads.
"""

import numpy as np

from feature_store.arrays import Float32Array

_SERIAL = 1 << 18  # multiplications of a product up to which OpenBLAS stays in the thread that asks
_BLOCKS = 64  # blocks of `gram` added at a time, so that they stay in the cache


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
    block = max(1, _SERIAL // (dim * dim))
    total = np.zeros((dim, dim), np.float32)
    for start in range(0, len(matrix), block * _BLOCKS):
        rows = matrix[start : start + block * _BLOCKS]
        whole = len(rows) - len(rows) % block
        blocks = rows[:whole].reshape(-1, block, dim)
        total += (blocks.transpose(0, 2, 1) @ blocks).sum(axis=0)
        total += rows[whole:].T @ rows[whole:]
    return total
