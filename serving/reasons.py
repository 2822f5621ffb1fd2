"""Reasons: why an item stands in a list, for whoever asks to have it explained.

like        what was met, and how much of the personal score is owed to it (`feature_store.contributions`)
popular     many people met it: so many
fresh       it has appeared lately: hours ago
similar     it is like the item that was asked about
friends     so many of those whom the person is friends with, or follows, met it
pinned, promoted    an editor, or a rule of the placement, put it there
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from feature_store.contributions import contributions
from serving.arranging.arrange import Arranged
from serving.sources.asked import Asked

_MOST_ALIKE = 3  # items met, of those that add to the score
_LEAST_SHARE = 0.05


class Reason(NamedTuple):
    """One reason.

    item_id: the item met, or asked about.
    share: of the personal score that is owed to it, from 0 to 1; of all that adds to it.
    people: how many met it.
    hours: since it appeared.
    """

    kind: str
    item_id: str | None = None
    share: float | None = None
    people: int | None = None
    hours: float | None = None


def reasons_of(asked: Asked, arranged: Sequence[Arranged]) -> list[tuple[Reason, ...]]:
    """Of each item of a list its reasons, the source's first."""
    alike = _alike(asked, arranged)
    return [(*_of_source(asked, one), *_friends(asked, one), *alike[at]) for at, one in enumerate(arranged)]


def _of_source(asked: Asked, one: Arranged) -> tuple[Reason, ...]:
    assortment = asked.view.assortment
    if one.source in {"pinned", "promoted"}:
        return (Reason(one.source),)
    if one.source == "similar":
        return (Reason("similar", asked.request.like_item_id),)
    if one.source == "fresh":
        appeared = float(assortment.appeared[one.place])
        hours = None if np.isnan(appeared) else max(0.0, asked.view.now - appeared) / 3600.0
        return (Reason("fresh", hours=hours),)
    if one.source in {"popular", "blended"} and one.place < assortment.known and assortment.shelf is not None:
        return (Reason("popular", people=int(assortment.shelf.popular.counts[one.place])),)
    return ()


def _friends(asked: Asked, one: Arranged) -> tuple[Reason, ...]:
    neighbours = asked.profile.neighbours
    met = 0 if neighbours is None else neighbours.met.get(asked.view.assortment.item_id(one.place), 0)
    return (Reason("friends", people=met),) if met else ()


def _alike(asked: Asked, arranged: Sequence[Arranged]) -> list[tuple[Reason, ...]]:
    """What was met that adds most to each item's score; nothing where a vector came without a history."""
    model, history = asked.view.model, asked.profile.met_rows
    found: list[tuple[Reason, ...]] = [()] * len(arranged)
    if model is None or asked.query is None or not len(history):
        return found
    checkpoint, vocabulary = model.checkpoint, model.checkpoint.vocabulary
    ids = [asked.view.assortment.item_id(one.place) for one in arranged]
    known = [at for at, item_id in enumerate(ids) if item_id in vocabulary]
    if not known:
        return found
    rows = vocabulary.rows([ids[at] for at in known])
    parts = contributions(checkpoint.item_vectors, checkpoint.item_gram, history, rows, checkpoint.manifest.fold_in)
    for at, terms in zip(known, np.maximum(parts, 0.0), strict=True):
        total = float(terms.sum())
        best = np.argsort(-terms, kind="stable")[:_MOST_ALIKE] if total > 0 else ()
        found[at] = tuple(
            Reason("like", vocabulary.item_ids[history[j]], share=float(terms[j] / total))
            for j in best
            if terms[j] >= _LEAST_SHARE * total
        )
    return found
