"""Placements that show a catalogue, without a server: what the model knows, and what only the catalogue has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from feature_store.checkpoint import CheckpointDraft
from feature_store.item_schemas import StoredItem
from feature_store.met import MetItems
from feature_store.row_ranges import one_catalogue
from serving.assortment.assortment import Assortment
from serving.feedback import Feedback
from serving.model import ServingModel, build_model
from serving.placements.settings import Placement
from serving.recommend import RankedList
from serving.request import Person
from serving.view import View
from tests.serving.published import Publisher, draft

NOW = 1.5e9


def content_of(vertical: str, seed: int = 1, items: int = 60, **changes: Any) -> CheckpointDraft:
    """As `draft`, of that vertical."""
    return replace(draft(seed, items), catalogues=one_catalogue(vertical, items), **changes)


def model_of(folder: Path, content: CheckpointDraft) -> ServingModel:
    publisher = Publisher(folder)
    return build_model(publisher.registry.load(publisher.publish(content)))


def stocked(
    model: ServingModel,
    vertical: str,
    items: Sequence[StoredItem],
    *,
    now: float = NOW,
    seed: int = 0,
    feedback: Feedback | None = None,
    **placement: Any,
) -> View:
    """A placement whose catalogue has those items."""
    shelf = model.shelf(vertical)
    rows = [] if shelf is None else shelf.rows.tolist()
    shown = Assortment(shelf, [model.checkpoint.vocabulary.item_ids[row] for row in rows], has_catalogue=True)
    shown.put(items)
    settings = Placement.model_validate({"vertical": vertical, **placement})
    return View(settings, model, shown, now, seed, feedback or Feedback())


def person(*met: str, hidden: Sequence[str] = ()) -> Person:
    return Person(MetItems(tuple(sorted(met)), 7, tuple(hidden)), None)


def ids(ranked: RankedList) -> list[str]:
    return [item.item_id for item in ranked.items]
