"""Small checkpoints whose answers are known, and an oracle that finds them again without any code of ours."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from feature_store.checkpoint import CheckpointDraft
from feature_store.fold_in import FoldInSettings
from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from serving.assortment.assortment import Assortment
from serving.assortment.stock import Stock
from serving.model import ServingModel
from serving.placements.settings import Placement
from serving.view import View

ALPHA, REGULARIZATION = 0.1, 0.01
Ranked = list[tuple[str, float]]


def draft(seed: int, items: int = 60, dim: int = 8) -> CheckpointDraft:
    """Items item-0, item-1, ...; those of even number lie about one half of the axes, the others about the other."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0.0, 0.1, (items, dim))
    vectors[0::2, : dim // 2] += 1.0
    vectors[1::2, dim // 2 :] += 1.0
    return CheckpointDraft(
        vocabulary=ItemVocabulary(f"item-{row}" for row in range(items)),
        item_vectors=vectors.astype(np.float32),
        item_counts=rng.integers(1, 20, items).astype(np.float32),  # 60 items of 19 counts: ties
        fold_in=FoldInSettings(ALPHA, REGULARIZATION),
        round_number=seed,
        catalogues=one_catalogue("films", items),
    )


class Publisher:
    """A registry, and the key that it is written with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "registry"
        self.key = SigningKey.generate()
        self.public_key = folder / "trusted.pem"
        self.public_key.write_bytes(self.key.public.pem())
        self.registry = Registry(self.folder, TrustedKeys([self.key.public]))

    def publish(self, content: CheckpointDraft, *, promote: bool = True) -> str:
        model_id = self.registry.publish(content, self.key).checkpoint_id
        if promote:
            self.registry.promote(model_id)
        return model_id


def view_of(model: ServingModel, vertical: str | None = None, *, now: float = 1e9, **placement: Any) -> View:
    """A placement without a catalogue, as a server has it."""
    settings = Placement(vertical=vertical, **placement)
    shown = asyncio.run(Stock().for_model(model))
    return View(settings, model, shown.get(vertical) or Assortment(None, (), has_catalogue=False), now)


def folded_in(content: CheckpointDraft, item_ids: list[str]) -> np.ndarray:
    """The minimum of the loss in `feature_store.fold_in`, from its gradient, in 64 bits."""
    Q = content.item_vectors.astype(np.float64)
    items, dim = Q.shape
    rows = sorted({content.vocabulary.row(item_id) for item_id in item_ids})
    system = ALPHA * sum(np.outer(q, q) for q in Q) + REGULARIZATION * (len(rows) + ALPHA * items) * np.eye(dim)
    for row in rows:
        system = system + np.outer(Q[row], Q[row])
    return np.linalg.inv(system) @ Q[rows].sum(axis=0)


def ranked_for(content: CheckpointDraft, vector: np.ndarray, k: int, without: set[str]) -> Ranked:
    """Items by their product with the vector."""
    scores = content.item_vectors.astype(np.float64) @ vector
    return _ranked(content, scores, k, without)


def personal(content: CheckpointDraft, seen: list[str], k: int = 10, without: tuple[str, ...] = ()) -> Ranked:
    """What a person gets who met those items."""
    return ranked_for(content, folded_in(content, seen), k, {*seen, *without})


def blended(content: CheckpointDraft, seen: list[str], k: int = 10, without: tuple[str, ...] = ()) -> Ranked:
    """What a person gets of whom few items are known: both scores, by the formula of `feature_store.blend`."""
    own, weight = np.sqrt(len(set(seen))), content.blend.weight
    met = content.item_counts.astype(np.float64) / content.blend.people
    scores = own * (content.item_vectors.astype(np.float64) @ folded_in(content, seen)) + weight * met
    return _ranked(content, scores / (own + weight), k, {*seen, *without})


def popular(content: CheckpointDraft, k: int = 10, without: tuple[str, ...] = ()) -> Ranked:
    """What somebody gets of whom nothing is known."""
    return _ranked(content, content.item_counts.astype(np.float64), k, set(without))


def _ranked(content: CheckpointDraft, scores: np.ndarray, k: int, without: set[str]) -> Ranked:
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    names = content.vocabulary.item_ids
    return [(names[row], float(scores[row])) for row in order if names[row] not in without][:k]
