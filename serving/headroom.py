"""Headroom: how much memory a checkpoint takes in a server, told from its manifest before any of it is read.

While one model takes the place of another, the old one stays until the last request that it answers is done. So a swap
needs, beside what is there, what the new one takes while it is made:

    kept      the vectors with their popularity; the item tower's own too, where these are discounted; copies of
              verticals that lie in several pieces; ids and columns of each item; the other files
    loading   three matrices as large as the vectors at once (as read, discounted, put together), ids, and the
              other files twice

The bytes of an item were measured (docs/lifecycle.md). What a catalogue says of items is no part of it.
"""

from typing import NamedTuple

from feature_store.manifest import CheckpointManifest
from feature_store.row_ranges import item_count
from serving.errors import ModelTooLarge

_OF_AN_ID = 160  # bytes: the text, its place in a list, and the way back from it
_OF_AN_ITEM = 360  # bytes: its id, and its columns in the assortments of its vertical and of all
_NUMBER = 4  # bytes of a float32


class ModelBytes(NamedTuple):
    """Bytes of memory, about.

    kept: while it answers.
    loading: at most, from the first byte read until it answers.
    """

    kept: int
    loading: int


def model_bytes(manifest: CheckpointManifest) -> ModelBytes:
    """What the checkpoint of that manifest takes."""
    items, dim = manifest.items, manifest.dim
    of_an_item = _NUMBER * (dim + 1)
    further = sum(file.size for name, file in manifest.files.items() if name != "item_vectors.safetensors")
    in_pieces = sum(item_count(ranges) for ranges in manifest.catalogues.values() if len(ranges) > 1)
    kept = items * (of_an_item + _OF_AN_ITEM) + further
    kept += _NUMBER * dim * items if manifest.blend.discount else 0
    kept += of_an_item * in_pieces if len(manifest.catalogues) > 1 else 0
    return ModelBytes(kept, max(kept, items * (3 * of_an_item + _OF_AN_ID) + 2 * further))


def require_headroom(manifest: CheckpointManifest, most_bytes: int | None) -> None:
    """Raise `ModelTooLarge` where loading the checkpoint would take more than that; None allows any."""
    expected = model_bytes(manifest).loading
    if most_bytes is not None and expected > most_bytes:
        raise ModelTooLarge(manifest.checkpoint_id, expected, most_bytes)
