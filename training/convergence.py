"""When training stops before its round limit."""

from collections.abc import Sequence


def has_converged(validation: Sequence[float], patience: int, least_gain: float = 1e-4) -> bool:
    """Whether the last `patience` evaluations brought no gain worth having.

    validation: the metric after each evaluation, oldest first; higher is better.
    patience: evaluations to wait for a gain; 0 never stops.
    least_gain: a new best counts only if it is higher than the one before by at least this much.

    >>> has_converged([0.30, 0.34, 0.3400, 0.3399], patience=2)
    True
    >>> has_converged([0.30, 0.34, 0.3400, 0.3450], patience=2)
    False
    """
    if patience == 0 or len(validation) <= patience:
        return False
    return max(validation[-patience:]) < max(validation[:-patience]) + least_gain
