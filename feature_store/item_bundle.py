"""The item bundle: what a device needs to rank by itself, in one signed file that is small enough to send it.

Item vectors go with eight and a little bits a number (`feature_store.item_bundle_vectors`). Beside them go ids, titles,
QᵀQ of the exact vectors and the settings of fold-in and blend. `docs/item-bundle.md` has the file byte by byte and the
figures.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.blend import BlendSettings
from feature_store.checkpoint import Checkpoint, require_known
from feature_store.errors import BadInput, CorruptBundle
from feature_store.faults import faults_of
from feature_store.fold_in import FoldInSettings
from feature_store.item_bundle_vectors import ItemCodes, fine_bytes, kept, rounded
from feature_store.item_item import ItemItem
from feature_store.manifest import CheckpointId
from feature_store.query_tower import QueryTower, named_vectors, tower_of
from feature_store.row_ranges import Catalogues, RowRanges, require_partition, rows_of
from feature_store.sealed_file import Sealed, open_sealed, seal
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary

MAGIC = b"HEARTHIB"
LARGEST_ITEM_ITEM = 1 << 20  # bytes of int8 weights; larger ones stay at home
_STEPS = 127  # int8 to both sides of zero; −128 is not used

Int8Array: TypeAlias = npt.NDArray[np.int8]
_TEXTS = TypeAdapter(list[str])


class Quantised(NamedTuple):
    """Rows of int8 numbers, symmetric around zero, as item-item weights go (Krishnamoorthi 2018, section 2.3).

    codes: shape (rows, columns), from −127 to 127.
    scales: float32, >= 0, shape (rows,): what a code of 1 stands for.
    """

    codes: Int8Array
    scales: Float32Array

    def rows(self, rows: Int32Array) -> Float32Array:
        """Some of the rows as they are meant, shape (len(rows), columns)."""
        restored: Float32Array = self.codes[rows].astype(np.float32) * self.scales[rows, None]
        return restored


class BundleFacts(BaseModel):
    """What a bundle says of itself.

    created: when the checkpoint was published; a device need not go back to an earlier one.
    items_of_checkpoint: of the whole vocabulary, which the weights of fold-in count.
    catalogues: vertical -> rows of the bundle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint_id: CheckpointId
    created: str
    round_number: int = Field(ge=0)
    dim: int = Field(ge=1, le=1 << 16)
    items: int = Field(ge=1, le=1 << 28)
    items_of_checkpoint: int = Field(ge=1, le=1 << 28)
    fold_in: FoldInSettings
    blend: BlendSettings
    catalogues: Mapping[str, RowRanges]


@dataclass(frozen=True, slots=True, eq=False)
class ItemBundle:
    """A verified bundle in memory; arrays are read-only.

    sealed: the file that it is; its digest is the bundle's id.
    vectors: of the items, in the order of the vocabulary.
    item_gram: QᵀQ of the checkpoint's exact vectors, float32 (dim, dim).
    item_counts: people who met each item, to three digits, float32 (items,).
    """

    sealed: Sealed
    facts: BundleFacts
    vocabulary: ItemVocabulary
    titles: tuple[str, ...]
    vectors: ItemCodes
    item_gram: Float32Array
    item_counts: Float32Array
    item_item: ItemItem | None
    query_tower: QueryTower | None

    @property
    def bundle_id(self) -> str:
        """SHA-256 of its content, in hex."""
        return self.sealed.digest


def quantise(rows: Float32Array) -> Quantised:
    """Rows as int8 with a scale each.

    >>> quantise(np.array([[1.27, -0.5, 0.004], [0, 0, 0]], np.float32)).codes.tolist()
    [[127, -50, 0], [0, 0, 0]]
    """
    scales: Float32Array = np.abs(rows).max(axis=1, initial=0.0).astype(np.float32) / np.float32(_STEPS)
    divisors = np.where(scales > 0, scales, np.float32(1))[:, None]
    codes: Int8Array = np.clip(np.rint(rows / divisors), -_STEPS, _STEPS).astype(np.int8)
    codes[scales == 0] = 0  # smaller numbers than a float32 can be divided into
    return Quantised(codes, scales)


def make_bundle(
    checkpoint: Checkpoint, titles: Mapping[str, str], key: SigningKey, leave_out: AbstractSet[str] = frozenset()
) -> Sealed:
    """The bundle of a checkpoint, signed.

    titles: of items by id; an item without one has "".
    leave_out: ids of items that are no longer offered.

    Raises:
        BadInput: nothing would be left.
    """
    item_ids = checkpoint.vocabulary.item_ids
    stays: BoolArray = np.array([item_id not in leave_out for item_id in item_ids], dtype=np.bool_)
    rows = np.flatnonzero(stays).astype(np.int32)
    if not len(rows):
        raise BadInput(f"a bundle has at least one item; all {len(item_ids)} are left out")
    vectors = rounded(checkpoint.item_vectors[rows])
    manifest = checkpoint.manifest
    places = np.cumsum(stays) - 1
    facts = BundleFacts(
        checkpoint_id=manifest.checkpoint_id,
        created=manifest.created.isoformat(),
        round_number=manifest.round_number,
        dim=manifest.dim,
        items=len(rows),
        items_of_checkpoint=len(item_ids),
        fold_in=manifest.fold_in,
        blend=manifest.blend,
        catalogues=_left_of(manifest.catalogues, stays, places.astype(np.int32)),
    )
    sections = {
        "item_ids": _text([item_ids[row] for row in rows]),
        "titles": _text([titles.get(item_ids[row], "") for row in rows]),
        **vector_sections(vectors),
        "counts": _upper_half(checkpoint.item_counts[rows]).astype("<u2").tobytes(),
        "gram": checkpoint.item_gram.astype("<f4").tobytes(),
        **_item_item_sections(checkpoint.item_item, stays, places.astype(np.int32)),
        **_context_sections(checkpoint.query_tower),
    }
    return seal(MAGIC, facts.model_dump(mode="json"), sections, key)


def read_bundle(content: bytes, trusted: TrustedKeys) -> ItemBundle:
    """Read and verify a bundle; raises as `feature_store.sealed_file.open_sealed`."""
    return bundle_of(open_sealed(content, MAGIC, trusted, "the item bundle"))


def bundle_of(sealed: Sealed) -> ItemBundle:
    """What a verified file holds; raises `CorruptBundle` where a trusted key has signed what is no bundle."""
    try:
        return _parsed(sealed)
    except ValidationError as error:
        raise CorruptBundle(f"the item bundle does not hold what its format asks for: {faults_of(error)}") from error
    except (KeyError, BadInput) as error:
        raise CorruptBundle(f"the item bundle does not hold what its format asks for: {error}") from error


def _parsed(sealed: Sealed) -> ItemBundle:
    facts = BundleFacts.model_validate(sealed.facts)
    items, dim = facts.items, facts.dim
    vocabulary = ItemVocabulary(_TEXTS.validate_json(sealed.sections["item_ids"], strict=True))
    titles = tuple(_TEXTS.validate_json(sealed.sections["titles"], strict=True))
    if len(vocabulary) != items or len(titles) != items:
        raise BadInput(f"{items} items have {len(vocabulary)} ids and {len(titles)} titles")
    require_partition(facts.catalogues, items)
    coarse, fine = _array(sealed, "coarse", "i1", (items, dim)), _array(sealed, "fine", "u1", (items, fine_bytes(dim)))
    quarters = _array(sealed, "steps", "<i2", (items,)).astype(np.int16, copy=False)
    item_counts = (_array(sealed, "counts", "<u2", (items,)).astype(np.uint32) << 16).view(np.float32)
    if not np.isfinite(item_counts).all() or (item_counts < 0).any():
        raise BadInput("counts are finite and >= 0")
    item_counts.flags.writeable = False
    item_item = _item_item(sealed)
    if item_item is not None:
        require_known(item_item, items)
    return ItemBundle(
        sealed=sealed,
        facts=facts,
        vocabulary=vocabulary,
        titles=titles,
        vectors=kept(coarse, fine, quarters),
        item_gram=_floats(sealed, "gram", (dim, dim)),
        item_counts=item_counts,
        item_item=item_item,
        query_tower=_query_tower(sealed, dim),
    )


def vector_sections(vectors: ItemCodes) -> dict[str, bytes]:
    """The sections that item vectors have in a bundle, by name."""
    coarse, fine, quarters = vectors
    return {"coarse": coarse.tobytes(), "fine": fine.tobytes(), "steps": quarters.astype("<i2").tobytes()}


def _upper_half(numbers: Float32Array) -> npt.NDArray[np.uint16]:
    """Finite numbers >= 0 as the upper 16 bits of their float32, rounded: the error is at most 1/256 of the number."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.uint64)
    rounded = np.minimum((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, 0x7F7F)  # up to the largest finite one
    halves: npt.NDArray[np.uint16] = rounded.astype(np.uint16)
    return halves


def _left_of(catalogues: Catalogues, stays: BoolArray, places: Int32Array) -> dict[str, RowRanges]:
    """The catalogues in rows of the bundle; one of which nothing is left is not among them."""
    left = {}
    for vertical, ranges in catalogues.items():
        rows = rows_of(ranges)
        kept = places[rows[stays[rows]]]
        if len(kept):
            breaks = np.flatnonzero(np.diff(kept) > 1) + 1
            left[vertical] = tuple((int(span[0]), int(span[-1]) + 1) for span in np.split(kept, breaks))
    return left


def _item_item_sections(item_item: ItemItem | None, stays: BoolArray, places: Int32Array) -> dict[str, bytes]:
    if item_item is None:
        return {}
    kept = np.flatnonzero(stays[item_item.rows])
    if len(kept) ** 2 > LARGEST_ITEM_ITEM or not len(kept):
        return {}
    weights = quantise(item_item.weights[np.ix_(kept, kept)])
    return {
        "item_item_rows": places[item_item.rows[kept]].astype("<i4").tobytes(),
        "item_item_codes": weights.codes.tobytes(),
        "item_item_scales": weights.scales.astype("<f4").tobytes(),
    }


def _item_item(sealed: Sealed) -> ItemItem | None:
    if "item_item_rows" not in sealed.sections:
        return None
    m = len(sealed.sections["item_item_rows"]) // 4
    rows = _array(sealed, "item_item_rows", "<i4", (m,)).astype(np.int32)
    codes, scales = _array(sealed, "item_item_codes", "i1", (m, m)), _floats(sealed, "item_item_scales", (m,))
    return ItemItem(rows, Quantised(codes, scales).rows(np.arange(m, dtype=np.int32)))


def _context_sections(tower: QueryTower | None) -> dict[str, bytes]:
    if tower is None:
        return {}
    named = dict(sorted(named_vectors(tower).items()))
    vectors = np.array(list(named.values()), np.float32).reshape(len(named), tower.dim)
    return {"context_names": _text(list(named)), "context_vectors": vectors.astype("<f4").tobytes()}


def _query_tower(sealed: Sealed, dim: int) -> QueryTower | None:
    if "context_names" not in sealed.sections:
        return None
    names = _TEXTS.validate_json(sealed.sections["context_names"], strict=True)
    vectors = _floats(sealed, "context_vectors", (len(names), dim))
    return tower_of(dim, dict(zip(names, vectors, strict=True)))


def _text(texts: list[str]) -> bytes:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()


def _floats(sealed: Sealed, name: str, shape: tuple[int, ...]) -> Float32Array:
    array: Float32Array = _array(sealed, name, "<f4", shape).astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise BadInput(f"the numbers of {name} are finite")
    return array


def _array(sealed: Sealed, name: str, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array on the bytes of a section, which cannot be written to."""
    content = sealed.sections[name]
    if len(content) != np.dtype(kind).itemsize * int(np.prod(shape)):
        raise BadInput(f"section {name} of shape {shape} has {len(content)} bytes")
    return np.frombuffer(content, kind).reshape(shape)
