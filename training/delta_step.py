"""A delta step: a pair of pure functions that move named parameters along the mean of what clients learnt.

It knows nothing of clients, cohorts or models, so that the item tower and a classifier share it.
`training.averaging` makes a server optimizer of it.
"""

from collections.abc import Callable
from typing import NamedTuple

from training.named_arrays import NamedArrays


class DeltaStep(NamedTuple):
    """One way to step.

    init: from the parameters to what the step remembers before the first round; may be nothing.
    apply: from the parameters, the mean of (local minus global) and what is remembered to the new parameters and
        what is remembered then. Names and shapes of the first two are the same, else it raises `BadInput`.
    """

    init: Callable[[NamedArrays], NamedArrays]
    apply: Callable[[NamedArrays, NamedArrays, NamedArrays], tuple[NamedArrays, NamedArrays]]
