"""A split whose right answer is known: clients of two tastes, each of which meets items of its own half."""

import numpy as np

from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split


def two_tastes(clients: int = 40, items: int = 30, met: int = 12, seed: int = 5) -> Split:
    """Client 0 meets even items, client 1 odd ones, and so on; of each, two items validate and three test."""
    histories = [
        np.random.default_rng([seed, client]).permutation(np.arange(client % 2, items, 2))[:met]
        for client in range(clients)
    ]
    return Split(
        vocabulary=ItemVocabulary(f"i{item}" for item in range(items)),
        user_ids=tuple(f"p{client}" for client in range(clients)),
        train=Histories.of(rows[:-5] for rows in histories),
        valid=Histories.of(rows[-5:-3] for rows in histories),
        test=Histories.of(rows[-3:] for rows in histories),
    )
