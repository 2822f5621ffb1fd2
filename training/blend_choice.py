"""How much popularity weighs for people of whom few items are known: chosen on validation items.

People of the validation are treated as if they were new: of their train items a few are kept, drawn at random, and
folded in; the weight that ranks their validation items best over several such numbers is taken. `feature_store.blend`
has the formula, docs/cold-start.md what else was tried.
"""

from dataclasses import replace

import numpy as np

from feature_store.arrays import Float32Array, Int64Array
from feature_store.blend import BlendSettings, blended_scores, discounts
from feature_store.fold_in import FoldInSettings
from feature_store.item_item import ItemItem
from training.evaluation import Scorer, evaluate, fold_in_scorer
from training.histories import Histories
from training.split import Split

WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0)
"""Those to choose from. From one to the next NDCG@20 changes by about 1 %."""

WITHOUT_VALIDATION = 0.5
"""Best on the validation parts of MovieLens-1M and Last.fm, and taken where there are no validation items."""

KNOWN = (1, 3, 10)
"""Items known: what the mean goes over."""


def choose_blend(
    item_vectors: Float32Array,
    item_counts: Float32Array,
    unblended: BlendSettings,
    fold_in: FoldInSettings,
    split: Split,
    most: int = 500,
    item_item: ItemItem | None = None,
) -> BlendSettings:
    """The blend with the best mean NDCG@20 on the validation items of `split`.

    Args:
        item_vectors: Q, shape (items, dim).
        item_counts: people who met each item, shape (items,).
        unblended: whom they are counted among, and the discount; its weight is what is chosen here.
        fold_in: the weights of the loss.
        split: whose train items are partly hidden; all of them stay out of the ranking.
        most: judge on at most this many people.
        item_item: weights beside the product of the two towers.
    """
    if not split.valid.rows.size:
        return replace(unblended, weight=WITHOUT_VALIDATION)
    parts = [known_part(split.train, known) for known in KNOWN]

    def ndcg(weight: float) -> float:
        blend = replace(unblended, weight=weight)
        scorers = [blended_scorer(item_vectors, item_counts, fold_in, part, blend, item_item) for part in parts]
        figures = [evaluate(s, len(item_vectors), split.valid, split.met_before_valid, most).ndcg for s in scorers]
        return float(np.mean(figures))

    return replace(unblended, weight=max(WEIGHTS, key=ndcg))


def blended_scorer(
    item_vectors: Float32Array,
    item_counts: Float32Array,
    fold_in: FoldInSettings,
    met: Histories,
    blend: BlendSettings,
    item_item: ItemItem | None = None,
) -> Scorer:
    """Scores as serving gives them to people whose items of `met` are known, popularity included."""
    personal = fold_in_scorer(item_vectors, met, fold_in, item_item, discounts(item_counts, blend))
    known = met.lengths

    def score(clients: Int64Array) -> Float32Array:
        return blended_scores(personal(clients), item_counts, known[clients], blend)

    return score


def known_part(histories: Histories, known: int, seed: int = 0) -> Histories:
    """At most `known` items of each history, drawn at random; a function of the seed and the person's number.

    >>> part = known_part(Histories.of([[4, 7, 9], [2], []]), known=2)
    >>> part.lengths.tolist(), part[1].tolist()
    ([2, 1, 0], [2])
    """
    return Histories.of(
        rows if len(rows) <= known else np.random.default_rng([seed, client]).choice(rows, known, replace=False)
        for client, rows in enumerate(histories)
    )
