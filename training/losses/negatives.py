"""Sampled negatives: items that a client has not met, drawn on the client.

They are drawn from everything outside the client's *train* items, and from nothing less: an item that is held out is
as likely a negative as any other. The generator is a function of the item vectors of the round and of the client's own
history, both of which the client has. So a round can be repeated bit for bit, another round draws anew, and no client
number or seed of its own, which would say who it is, has to be handed about.
"""

from typing import NamedTuple
from zlib import crc32

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from training.padding import PADDING


class Negatives(NamedTuple):
    """A sample for each client of a batch, without replacement.

    rows: shape (clients, size); `PADDING` where a client has fewer than `size` items that it has not met.
    probability: that an unmet item is in the client's sample, shape (clients,); 1 where there is no unmet item.
    """

    rows: Int32Array
    probability: Float32Array


def sample_negatives(item_vectors: Float32Array, padded: Int32Array, size: int) -> Negatives:
    """Uniformly drawn unmet items for each client of a padded batch.

    Args:
        item_vectors: Q of the round, shape (items, dim).
        padded: item rows of each client, shape (clients, longest), `PADDING` where a history has ended.
        size: how many to draw; all, where there are fewer.
    """
    items = len(item_vectors)
    of_round = crc32(item_vectors.tobytes())
    rows = np.full((len(padded), size), PADDING, np.int32)
    probability = np.ones(len(padded), np.float32)
    for client, history in enumerate(padded):
        met = np.sort(history[history != PADDING])
        unmet = items - len(met)
        drawn = min(size, unmet)
        random = np.random.default_rng([of_round, crc32(met.tobytes())])
        ranks = random.choice(unmet, drawn, replace=False)
        # the k-th unmet item lies after as many met ones as have k or fewer unmet items before them
        rows[client, :drawn] = ranks + np.searchsorted(met - np.arange(len(met)), ranks, side="right")
        if unmet:
            probability[client] = drawn / unmet
    return Negatives(rows, probability)
