"""The quality of a published checkpoint: what somebody who downloads it would see."""

import numpy as np

from feature_store.arrays import Float32Array, Int32Array, Int64Array
from feature_store.blend import discounts
from feature_store.checkpoint import Checkpoint
from training.evaluation import Quality, Scorer, evaluate
from training.quality_groups import QualityGroups, quality_by_group
from training.split import Split


def checkpoint_quality(checkpoint: Checkpoint, split: Split) -> Quality:
    """Judge a checkpoint on the test part of a split."""
    score = checkpoint_scorer(checkpoint, split)
    return evaluate(score, len(split.vocabulary), split.test, split.met_before_test)


def checkpoint_groups(checkpoint: Checkpoint, split: Split) -> QualityGroups:
    """Judge a checkpoint on the test part of a split, by groups of people and of items."""
    score = checkpoint_scorer(checkpoint, split)
    return quality_by_group(score, split.train, len(split.vocabulary), split.test, split.met_before_test)


def checkpoint_scorer(checkpoint: Checkpoint, split: Split) -> Scorer:
    """Scores as the checkpoint gives them, for a split whose items may stand in another order.

    Items that the checkpoint does not know cannot be ranked: as history they add nothing, as test items they are
    misses.
    """
    known = checkpoint.vocabulary
    row_of = np.array([known.row(i) if i in known else -1 for i in split.vocabulary.item_ids], dtype=np.int32)
    rankable = row_of >= 0

    def history(client: int) -> Int32Array:
        rows = row_of[split.train[client]]
        return rows[rows >= 0]

    def score(clients: Int64Array) -> Float32Array:
        histories = [history(client) for client in clients]
        embeddings = checkpoint.fold_in_many(histories)
        own = embeddings @ checkpoint.item_vectors.T
        if checkpoint.item_item is not None:
            own[:, checkpoint.item_item.rows] += checkpoint.item_item.added(histories)
        own *= discounts(checkpoint.item_counts, checkpoint.manifest.blend)
        scores = np.full((len(clients), len(row_of)), -np.inf, dtype=np.float32)
        scores[:, rankable] = own[:, row_of[rankable]]
        return scores

    return score
