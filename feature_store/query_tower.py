"""The query tower: the local user embedding, shifted by the context of a request.

What people want depends on the hour, the weekday, the device in the hand and the place of the list, beside who they
are. For each feature f of the context there is a small table of vectors, one a value, and the query is

    p + Σ_f E_f[value_f]

p stays where the person's history is, folded in as ever (`feature_store.fold_in`). The tables are global and small:
some dozens of vectors, which a device downloads with the item vectors. A feature that is missing, and a value that no
table has, add nothing. Training finds the tables from sums over clients (`training.context`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput

ContextFeature: TypeAlias = Literal["hour", "weekday", "device", "vertical"]
"""What a context tells. All four are written as text.

hour: "0" to "23", and weekday: "0" (Monday) to "6", of the clock at the person's place: what time it is there is known
    to the client and to nobody else, so the client says it.
device: its class, by a name that client and training share, such as "phone".
vertical: of the list that is asked for.
"""

Context: TypeAlias = Mapping[ContextFeature, str]
"""The values of the features that are known."""


class ContextValue(NamedTuple):
    """One value of one feature."""

    feature: ContextFeature
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class QueryTower:
    """The tables, as one vector for each value of each feature.

    dim: numbers in a vector.
    vectors: of each value that has one, float32, finite, shape (dim,).
    """

    dim: int
    vectors: Mapping[ContextValue, Float32Array]

    def __post_init__(self) -> None:
        for value, vector in self.vectors.items():
            if vector.shape != (self.dim,) or vector.dtype != np.float32:
                raise BadInput(
                    f"a query tower of dim {self.dim} has float32 vectors of shape ({self.dim},); "
                    f"{value.feature} {value.value!r} has {vector.dtype} {vector.shape}"
                )
            if not np.isfinite(vector).all():
                raise BadInput(
                    f"the vectors of a query tower are finite; that of {value.feature} {value.value!r} is not"
                )

    def query(self, vector: Float32Array, context: Context) -> Float32Array:
        """The user embedding in that context, shape (dim,); the same numbers where the context adds nothing.

        >>> noon = QueryTower(2, {ContextValue("hour", "12"): np.array([0.5, -1], np.float32)})
        >>> noon.query(np.array([1, 1], np.float32), {"hour": "12", "weekday": "6"}).tolist()
        [1.5, 0.0]
        """
        query = vector
        for value in contents(context):
            if value in self.vectors:
                query = query + self.vectors[value]
        return query

    def unknown(self, context: Context) -> tuple[ContextFeature, ...]:
        """The features of the context whose values add nothing.

        >>> QueryTower(2, {}).unknown({"device": "watch"})
        ('device',)
        """
        return tuple(value.feature for value in contents(context) if value not in self.vectors)


def contents(context: Context) -> list[ContextValue]:
    """The values of a context, in an order that does not depend on how it was written."""
    return [ContextValue(feature, context[feature]) for feature in sorted(context)]


def named_vectors(tower: QueryTower) -> dict[str, Float32Array]:
    """The vectors under names of the form feature/value, as a file has them."""
    return {f"{value.feature}/{value.value}": vector for value, vector in tower.vectors.items()}


def tower_of(dim: int, named: Mapping[str, Float32Array]) -> QueryTower:
    """The tower of what `named_vectors` gives; raises `BadInput` for a name or a vector that is none of a tower's."""
    vectors: dict[ContextValue, Float32Array] = {}
    for name, vector in named.items():
        written, slash, value = name.partition("/")
        features = [feature for feature in get_args(ContextFeature) if feature == written]
        if not features or not slash:
            raise BadInput(f"the vectors of a query tower are named as hour/12; got {name!r}")
        vectors[ContextValue(features[0], value)] = vector
    return QueryTower(dim, vectors)
