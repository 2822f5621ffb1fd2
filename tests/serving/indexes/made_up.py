"""Items that lie in clusters and differ in length, and people who like a few of them."""

import numpy as np


def clustered(items: int, dim: int, seed: int) -> np.ndarray:
    """About √items clusters, the larger the earlier; lengths by a lognormal law."""
    random = np.random.default_rng(seed)
    clusters = int(items**0.5)
    weights = 1 / np.sqrt(np.arange(1, clusters + 1))
    centres = random.standard_normal((clusters, dim))
    members = random.choice(clusters, items, p=weights / weights.sum())
    spread = centres[members] + 0.7 * random.standard_normal((items, dim))
    lengths = np.exp(0.25 * random.standard_normal((items, 1)))
    return (0.3 * lengths * spread).astype(np.float32)


def queries_of(vectors: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Each near the middle of three items, shape (people, dim)."""
    random = np.random.default_rng(seed)
    liked = vectors[random.integers(0, len(vectors), (people, 3))].mean(axis=1)
    return (liked + 0.05 * random.standard_normal(liked.shape)).astype(np.float32)
