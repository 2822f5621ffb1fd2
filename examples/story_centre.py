"""A made-up world of stories, and the centre that learns what goes with what and publishes it for devices.

For `on_device.py`. Stories are of six kinds, and people each like one kind: so it is known what a good list is.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from feature_store.blend import BlendSettings
from feature_store.checkpoint import Checkpoint, CheckpointDraft
from feature_store.fold_in import FoldInSettings, fold_in_many
from feature_store.item_bundle import make_bundle, read_bundle
from feature_store.item_bundle_delta import make_delta
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary

KINDS = ("sea", "desert", "city", "forest", "stars", "kitchen")
STORIES, NEW_STORIES, PEOPLE, DIM = 3000, 60, 900, 32
SETTINGS = FoldInSettings(alpha=0.1, regularization=0.01)


class World(NamedTuple):
    """The truth, which a model has to find out.

    titles: of all stories, by id; the last word of a title is the story's kind.
    met: rows of the stories that each person met: most of the kind that they like, others because all know them.
    """

    titles: dict[str, str]
    met: list[np.ndarray]


def made_up_world() -> World:
    """The same each time."""
    rng = np.random.default_rng(0)
    stories = STORIES + NEW_STORIES
    kinds = rng.integers(0, len(KINDS), size=stories)
    fame = rng.pareto(1.5, size=stories) + 0.5
    likes = rng.integers(0, len(KINDS), size=PEOPLE)
    odds = fame * np.where(kinds == likes[:, None], 20.0, 1.0)
    met = [np.sort(rng.choice(stories, size=40, replace=False, p=row / row.sum())).astype(np.int32) for row in odds]
    return World({f"story-{row:04d}": f"Tale {row} of the {KINDS[kind]}" for row, kind in enumerate(kinds)}, met)


def trained(vectors: np.ndarray, met: list[np.ndarray], rounds: int) -> np.ndarray:
    """Item vectors after some rounds of alternating least squares (Hu et al. 2008): people, then stories, then again.

    Hearth itself trains without seeing a history (docs/training.md). Here we look, to have a model at once.
    """
    readers: list[list[int]] = [[] for _ in vectors]
    for person, rows in enumerate(met):
        for row in rows:
            readers[row].append(person)
    audiences = [np.array(people, np.int32) for people in readers]
    for _ in range(rounds):
        people = fold_in_many(vectors, vectors.T @ vectors, met, SETTINGS)
        vectors = fold_in_many(people, people.T @ people, audiences, SETTINGS)
    return vectors


def published(folder: Path, key: SigningKey, world: World, vectors: np.ndarray, round_number: int) -> Checkpoint:
    """A new checkpoint in the registry; `hearth train` does that at its end."""
    draft = CheckpointDraft(
        vocabulary=ItemVocabulary(list(world.titles)[: len(vectors)]),
        item_vectors=vectors,
        item_counts=np.bincount(np.concatenate(world.met), minlength=len(world.titles))[: len(vectors)].astype("f4"),
        fold_in=SETTINGS,
        round_number=round_number,
        catalogues={"stories": ((0, len(vectors)),)},
        blend=BlendSettings(weight=0.0, people=PEOPLE),  # what is popular is for strangers alone
    )
    registry = Registry(folder / "registry", TrustedKeys([key.public]))
    return registry.load(registry.publish(draft, key).checkpoint_id)


def centre(folder: Path) -> list[Checkpoint]:
    """Publish two checkpoints, the second with more stories, and the files that a server of static files would offer.

    `hearth models bundle` writes such files: the whole of each, and the changes for those who have the first.
    """
    world, key = made_up_world(), SigningKey.generate()
    (folder / "centre.pub").write_bytes(key.public.pem())
    known = [rows[rows < STORIES] for rows in world.met[:-100]]  # at first some people are not there yet
    start = np.random.default_rng(1).normal(scale=0.1, size=(STORIES, DIM)).astype(np.float32)
    first = trained(start, known, rounds=8)
    grown = np.vstack([first, np.zeros((NEW_STORIES, DIM), np.float32)])
    second = trained(grown, world.met, rounds=1)
    checkpoints = [published(folder, key, world, first, 8), published(folder, key, world, second, 9)]
    made = [make_bundle(checkpoint, world.titles, key).to_bytes() for checkpoint in checkpoints]
    older, newer = (read_bundle(content, TrustedKeys([key.public])) for content in made)
    (folder / "first.bundle").write_bytes(made[0])
    (folder / "second.bundle").write_bytes(made[1])
    (folder / "second.delta").write_bytes(make_delta(older, newer, key))
    return checkpoints
