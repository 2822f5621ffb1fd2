"""Online measures: what placements really show, by placement and model, for `/metrics`.

    coverage     how many different items were shown since the model came, of how many that could be
    diversity    1 - the mean cosine between the items of a list, of those that the model knows
    freshness    the mean age of a list's items, in hours, where items have an age

Nothing in here is about a person, and no item is ever a label.
"""

import math
from itertools import islice

import numpy as np

from feature_store.arrays import Float32Array
from serving.metrics import Metrics, at_hand
from serving.recommend import RankedList
from serving.view import View

_LOOKED_AT = 20  # items of a list: a longer one is not looked at further down
_MOST_ITEMS = 1_000_000  # that are told apart; beyond these coverage stands still


class Online:
    """Measures replies as they are given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lists, self._diversity, self._age = (
            at_hand(metrics.lists),
            at_hand(metrics.list_diversity),
            at_hand(metrics.list_age),
        )
        self._shown: dict[tuple[str, str], set[str]] = {}

    def take(self, placement: str, view: View, ranked: RankedList) -> None:
        """Measure one reply."""
        labels = (placement, ranked.model_id or "")  # "": there is no model
        self._lists(*labels).inc()
        if not ranked.items:
            self._metrics.empty_lists.labels(*labels).inc()
            return
        if labels not in self._shown:
            self._forget_others(*labels)
        shown = self._shown.setdefault(labels, set())
        ids = [item.item_id for item in islice(ranked.items, _LOOKED_AT)]
        if len(shown) < _MOST_ITEMS:
            shown.update(ids)
        self._metrics.shown_items.labels(*labels).set(len(shown))
        self._metrics.catalogue_items.labels(*labels).set(len(view.assortment))
        places = view.assortment.places(ids)
        self._measure_diversity(labels, view, places)
        appeared = [at for at in view.assortment.appeared[places].tolist() if math.isfinite(at)]
        if appeared:
            self._age(*labels).observe((view.now - math.fsum(appeared) / len(appeared)) / 3600.0)

    def _measure_diversity(self, labels: tuple[str, str], view: View, places: "np.ndarray") -> None:
        shelf = view.assortment.shelf
        known = places[places < view.assortment.known]
        if shelf is None or len(known) < 2:
            return
        directions = shelf.directions(known)
        pairs = len(known) * (len(known) - 1)
        likeness = (_squared(np.add.reduce(directions)) - _squared(directions)) / pairs
        self._diversity(*labels).observe(1.0 - likeness)

    def _forget_others(self, placement: str, model_id: str) -> None:
        """Models that came before, but for the last: two may answer at a time."""
        known = [labels for labels in self._shown if labels[0] == placement and labels[1] != model_id]
        for labels in known[:-1]:
            del self._shown[labels]
            for gauge in (self._metrics.shown_items, self._metrics.catalogue_items):
                gauge.remove(*labels)


def _squared(numbers: Float32Array) -> float:
    """The sum of their squares."""
    return float(np.vdot(numbers, numbers))
