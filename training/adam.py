"""Adam as pure functions (Kingma and Ba 2015, algorithm 1)."""

import numpy as np

from feature_store.arrays import Float32Array


def adam_step(
    gradient: Float32Array,
    first: Float32Array,
    second: Float32Array,
    step: int,
    learning_rate: float,
    *,
    beta1: float = 0.9,
    beta2: float = 0.99,
    epsilon: float = 1e-8,
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """One step.

    Args:
        gradient: of the loss; any shape.
        first: running mean of the gradient, same shape; zeros before step 1.
        second: running mean of its square, same shape; zeros before step 1.
        step: number of this step, from 1.
        learning_rate: bound on about how far an entry moves.
        beta1: share of the old `first` that is kept.
        beta2: share of the old `second` that is kept; below the paper's 0.999 because a run has tens of rounds.
        epsilon: keeps an entry without gradient from dividing by zero.

    Returns:
        delta (to be added to the parameter), the new `first` and the new `second`.
    """
    first = beta1 * first + (1 - beta1) * gradient
    second = beta2 * second + (1 - beta2) * gradient * gradient
    corrected = np.sqrt(second / (1 - beta2**step)) + epsilon
    return -learning_rate * (first / (1 - beta1**step)) / corrected, first, second
