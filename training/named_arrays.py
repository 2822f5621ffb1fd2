"""Named arrays: the parameters of a model, and whatever has their names and shapes."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput

NamedArrays: TypeAlias = Mapping[str, Float32Array]


def mapped(function: Callable[..., Float32Array], first: NamedArrays, *others: NamedArrays) -> dict[str, Float32Array]:
    """The function of each array of `first` and those of the same name in the others.

    Raises:
        BadInput: names or shapes differ.

    >>> one, other = {"w": np.ones(2, np.float32)}, {"w": np.full(2, 3, np.float32)}
    >>> mapped(np.add, one, other)["w"].tolist()
    [4.0, 4.0]
    """
    for other in others:
        require_same(first, other)
    return {name: function(array, *(other[name] for other in others)) for name, array in first.items()}


def require_same(one: NamedArrays, other: NamedArrays) -> None:
    """Raise `BadInput` unless the two have the same names and shapes."""
    shapes, others = ({name: tuple(array.shape) for name, array in arrays.items()} for arrays in (one, other))
    if shapes != others:
        raise BadInput(f"arrays of one model have the same names and shapes; got {shapes} and {others}")


def zeros(like: NamedArrays) -> dict[str, Float32Array]:
    """Zeros of the same names and shapes."""
    return {name: np.zeros_like(array) for name, array in like.items()}


def prefixed(prefix: str, arrays: NamedArrays) -> dict[str, Float32Array]:
    """The arrays with `prefix/` before their names."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: NamedArrays) -> dict[str, Float32Array]:
    """Those whose names begin with `prefix/`, without it: undoes `prefixed`."""
    return {name.removeprefix(f"{prefix}/"): a for name, a in arrays.items() if name.startswith(f"{prefix}/")}
