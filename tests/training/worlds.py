"""Small worlds with a known answer."""

import numpy as np

from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import Split


def checkerboard(people: int = 60, items: int = 40, met: int = 12, seed: int = 3) -> Split:
    """Even people like even items, odd people odd items; each met some, and two more are valid and two test."""
    random = np.random.default_rng(seed)
    parts: dict[str, list[list[int]]] = {"train": [], "valid": [], "test": []}
    for person in range(people):
        liked = random.permutation(np.arange(person % 2, items, 2))
        parts["train"].append(liked[:met].tolist())
        parts["valid"].append(liked[met : met + 2].tolist())
        parts["test"].append(liked[met + 2 : met + 4].tolist())
    return Split(
        ItemVocabulary(f"item-{row}" for row in range(items)),
        tuple(f"person-{person}" for person in range(people)),
        **{name: Histories.of(part) for name, part in parts.items()},
    )
