"""A split: what each client trains on, what tunes the run, and what judges it. The three never overlap."""

from dataclasses import dataclass

from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Item rows of every client, in three parts; client u of each part is the same person, user_ids[u].

    train: what the client trains on. Negatives are drawn from everything outside it, and from nothing less.
    valid: tunes settings and stops training.
    test: judges the outcome; nothing is chosen by it.
    """

    vocabulary: ItemVocabulary
    user_ids: tuple[str, ...]
    train: Histories
    valid: Histories
    test: Histories
