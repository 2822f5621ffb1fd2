"""Online measures: what placements really show, by placement and model, for `/metrics`.

    coverage     how many different items were shown since the model came, of how many that could be
    diversity    1 - the mean cosine between the items of a list, of those that the model knows
    freshness    the mean age of a list's items, in hours, where items have an age

Nothing in here is about a person, and no item is ever a label.
"""

import math
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from prometheus_client import Counter, Gauge

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.compiled import compiled_for, read
from serving.metrics import Metrics, at_hand
from serving.recommend import RankedList
from serving.view import View

_LOOKED_AT = 20  # items of a list: a longer one is not looked at further down
_MOST_ITEMS = 1_000_000  # that are told apart; beyond these coverage stands still


@compiled_for(read(np.float32, 2), read(np.float32), np.int64, read(np.int32))
def mean_cosine(vectors: Float32Array, lengths: Float32Array, dim: int, places: Int32Array) -> float:
    """The mean cosine of all pairs of those places' own vectors, at least two; 0 with one whose vector is zero.

    It is that of the sum of all directions with itself, without what each has with itself.

    Args:
        vectors: shape (n, numbers).
        lengths: of the items' own vectors, shape (n,).
        dim: how many numbers of the vectors these are.
        places: shape (m,).
    """
    together: Float64Array = np.zeros(dim)
    alone = 0.0
    for place in places:
        for at in range(dim):
            if lengths[place] > 0:
                number = np.float64(vectors[place, at]) / np.float64(lengths[place])
                together[at] += number
                alone += number * number
    return (np.sum(together * together) - alone) / (len(places) * (len(places) - 1))


@dataclass(slots=True, eq=False)
class _Measured:
    """Of one placement and model, what was shown, and what counts it."""

    lists: Counter
    shown_items: Gauge
    catalogue_items: Gauge
    shown: set[str] = field(default_factory=set)


class Online:
    """Measures replies as they are given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._diversity, self._age = at_hand(metrics.list_diversity), at_hand(metrics.list_age)
        self._measured: dict[tuple[str, str], _Measured] = {}

    def take(self, placement: str, view: View, ranked: RankedList) -> None:
        """Measure one reply."""
        labels = (placement, ranked.model_id or "")  # "": there is no model
        if not ranked.items:
            self._metrics.lists.labels(*labels).inc()
            self._metrics.empty_lists.labels(*labels).inc()
            return
        measured = self._measured.get(labels) or self._begin(labels)
        measured.lists.inc()
        ids = [item.item_id for item in islice(ranked.items, _LOOKED_AT)]
        if len(measured.shown) < _MOST_ITEMS:
            measured.shown.update(ids)
        measured.shown_items.set(len(measured.shown))
        measured.catalogue_items.set(len(view.assortment))
        places = view.assortment.places(ids)
        shelf, known = view.assortment.shelf, places[places < view.assortment.known]
        if shelf is not None and len(known) > 1:
            self._diversity(*labels).observe(1.0 - mean_cosine(shelf.vectors, shelf.lengths, shelf.dim, known))
        appeared = [at for at in view.assortment.appeared[places].tolist() if math.isfinite(at)]
        if appeared:
            self._age(*labels).observe((view.now - math.fsum(appeared) / len(appeared)) / 3600.0)

    def _begin(self, labels: tuple[str, str]) -> _Measured:
        """What measures them from now on; older models of the placement are forgotten, but for the last.

        Two may answer at a time.
        """
        metrics, before = self._metrics, [known for known in self._measured if known[0] == labels[0]]
        for known in before[:-1]:
            del self._measured[known]
            for gauge in (metrics.shown_items, metrics.catalogue_items):
                gauge.remove(*known)
        self._measured[labels] = _Measured(
            metrics.lists.labels(*labels),
            metrics.shown_items.labels(*labels),
            metrics.catalogue_items.labels(*labels),
        )
        return self._measured[labels]
