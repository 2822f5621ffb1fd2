"""Synthetic populations: items by Zipf's law, histories as long as those of MovieLens-1M, in pieces of any number."""

from collections.abc import Iterator

import numpy as np

from feature_store.arrays import Int32Array, Int64Array
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split

# MovieLens-1M as the published split trains on it: half of the people have at most 57 items, a twentieth more than
# 317, the longest history 1,379. A lognormal law with these figures has the mean too, 98.
_MEDIAN, _SPREAD, _SHORTEST, _LONGEST = 57.0, 1.04, 5, 1400
_DRAWN = 70.0  # median of the draws that leaves one of 57 distinct items where there are 3,628
_ZIPF = 0.9  # popularity of the r-th item is proportional to r to the power of minus this


def synthetic_clients(
    clients: int, items: int, seed: int, piece: int = 10_000, median: float = _MEDIAN
) -> Iterator[tuple[Int32Array, Int64Array]]:
    """Clients in pieces: the distinct item rows of each, one after the other, and how many each has (at least one).

    A piece is a function of the seed and its place. Nothing larger than a piece is ever in memory. Draws that meet an
    item again count once, so that lengths come out below those drawn, whose median it is, and the more so the fewer
    items there are.
    """
    popularity = np.cumsum(np.arange(1, items + 1, dtype=np.float64) ** -_ZIPF)
    popularity /= popularity[-1]
    names = np.random.default_rng([seed, items]).permutation(items).astype(np.int32)  # rows do not tell popularity
    for place, first in enumerate(range(0, clients, piece)):
        random = np.random.default_rng([seed, items, place])
        here = min(piece, clients - first)
        wanted = np.exp(np.log(median) + _SPREAD * random.standard_normal(here))
        drawn = np.clip(wanted, _SHORTEST, min(_LONGEST, items)).astype(np.int64)
        ranks = np.searchsorted(popularity, random.random(drawn.sum()))
        met = np.unique(np.repeat(np.arange(here), drawn) * items + ranks)
        yield names[met % items], np.bincount(met // items, minlength=here)


def synthetic_split(clients: int = 6039, items: int = 3628, seed: int = 1) -> Split:
    """A split of the size of the published one of MovieLens-1M, all of it to train on."""
    pieces = list(synthetic_clients(clients, items, seed, median=_DRAWN))
    lengths = np.concatenate([lengths for _, lengths in pieces])
    train = Histories(np.concatenate([rows for rows, _ in pieces]), np.cumsum([0, *lengths], dtype=np.int64))
    nothing = Histories(np.empty(0, np.int32), np.zeros(clients + 1, np.int64))
    vocabulary = ItemVocabulary(f"item-{row}" for row in range(items))
    return Split(vocabulary, tuple(f"person-{row}" for row in range(clients)), train, nothing, nothing)
