"""Activity: how much a client counts in the loss, by the length of its history.

A loss summed over people is a loss over interactions: whoever met a thousand items weighs like fifty who met twenty.
Recall and NDCG are means over people. A client of n items is therefore weighed by n^(−x), between the two: x = 0 is the
sum over interactions, x = 1 about the mean over people. The weight changes no user embedding, as it scales a client's
whole loss; it changes what the client contributes to everybody's items.
"""

import numpy as np

from feature_store.arrays import Float32Array, Int64Array


def activity_roots(lengths: Int64Array, exponent: float) -> Float32Array:
    """The square roots of the clients' weights, n^(−x/2), shape (clients,).

    Every sum that a client sends is a product of two things of its own, such as p pᵀ; each takes one root.

    >>> activity_roots(np.array([1, 16]), exponent=0.5).tolist()
    [1.0, 0.5]
    """
    roots: Float32Array = np.power(np.maximum(lengths, 1), -exponent / 2, dtype=np.float32)
    return roots
