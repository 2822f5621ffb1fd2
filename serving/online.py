"""Online measures: what placements really show, by placement and model, for `/metrics`.

    coverage     how many different items were shown since the model came, of how many that could be
    diversity    1 - the mean cosine between the items of a list, of those that the model knows
    freshness    the mean age of a list's items, in hours, where items have an age

Nothing in here is about a person, and no item is ever a label.
"""

from itertools import islice

import numpy as np

from serving.metrics import Metrics
from serving.recommend import RankedList
from serving.view import View

_LOOKED_AT = 20  # items of a list: a longer one is not looked at further down
_MOST_ITEMS = 1_000_000  # that are told apart; beyond these coverage stands still


class Online:
    """Measures replies as they are given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: dict[tuple[str, str], set[str]] = {}

    def take(self, placement: str, view: View, ranked: RankedList) -> None:
        """Measure one reply."""
        labels = (placement, ranked.model_id or "")  # "": there is no model
        self._metrics.lists.labels(*labels).inc()
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
        appeared = view.assortment.appeared[places]
        appeared = appeared[np.isfinite(appeared)]
        if len(appeared):
            self._metrics.list_age.labels(*labels).observe(float(np.mean(view.now - appeared)) / 3600.0)

    def _measure_diversity(self, labels: tuple[str, str], view: View, places: "np.ndarray") -> None:
        shelf = view.assortment.shelf
        known = places[places < view.assortment.known]
        if shelf is None or len(known) < 2:
            return
        directions = shelf.directions(known)
        pairs = len(known) * (len(known) - 1)
        likeness = (float(np.sum(directions.sum(axis=0) ** 2)) - float(np.sum(directions**2))) / pairs
        self._metrics.list_diversity.labels(*labels).observe(1.0 - likeness)

    def _forget_others(self, placement: str, model_id: str) -> None:
        """Models that came before, but for the last: two may answer at a time."""
        known = [labels for labels in self._shown if labels[0] == placement and labels[1] != model_id]
        for labels in known[:-1]:
            del self._shown[labels]
            for gauge in (self._metrics.shown_items, self._metrics.catalogue_items):
                gauge.remove(*labels)
