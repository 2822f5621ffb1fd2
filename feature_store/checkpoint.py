"""A checkpoint: the global model as serving and devices need it, in a folder that is verified before it is used.

    manifest.json                what it is, with the digest of every other file
    manifest.sig                 an Ed25519 signature over the bytes of manifest.json
    item_ids.json                item ids in the order of their rows
    item_vectors.safetensors     Q, float32 (items, dim)
    item_gram.safetensors        QᵀQ, float32 (dim, dim): folding in needs it beside Q
    item_counts.safetensors      how many people met each item, float32 (items,), estimated from the cohorts' sums
    item_item.safetensors        where there are item-item weights: their rows, int32 (m,), and B, float32 (m, m)
    context.safetensors          where the query tower has context: a vector a value, named hour/12, float32 (dim,)

Arrays are safetensors, never pickle: reading a checkpoint runs no code of its author.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from feature_store.arrays import Float32Array, Int32Array
from feature_store.blend import UNBLENDED, BlendSettings
from feature_store.durable import sync_folder, write_synced
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput, CorruptCheckpoint, UnknownCheckpoint, UntrustedCheckpoint
from feature_store.faults import faults_of
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many
from feature_store.item_item import ItemItem
from feature_store.manifest import FORMAT_VERSION, CheckpointManifest, FileDigest, PrivacySpent, derive_checkpoint_id
from feature_store.query_tower import QueryTower, named_vectors, tower_of
from feature_store.regular_file import read_regular
from feature_store.row_ranges import Catalogues, require_partition
from feature_store.signing import Signature, SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary

_ARRAYS = ("item_vectors", "item_gram", "item_counts")
_ITEM_IDS = TypeAdapter(list[str])
# In bytes. What the manifest names has the size that stands there; these two come before it.
_LARGEST_MANIFEST = 1 << 20
_LARGEST_SIGNATURE = 1 << 12


class _SignatureFile(BaseModel):
    """What stands in manifest.sig; anybody may have written it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key_id: str
    signature: str


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A verified checkpoint in memory. Its arrays are read-only: many requests share them."""

    manifest: CheckpointManifest
    vocabulary: ItemVocabulary
    item_vectors: Float32Array
    item_gram: Float32Array
    item_counts: Float32Array
    item_item: ItemItem | None = None
    query_tower: QueryTower | None = None

    def fold_in(self, rows: Int32Array, watermark: int = 0) -> UserEmbedding:
        """The user embedding of a history (distinct rows of this checkpoint's items)."""
        vector = fold_in(self.item_vectors, self.item_gram, rows, self.manifest.fold_in)
        return UserEmbedding(vector, self.manifest.checkpoint_id, watermark)

    def fold_in_many(self, histories: list[Int32Array]) -> Float32Array:
        """The vectors of many histories, shape (users, dim)."""
        return fold_in_many(self.item_vectors, self.item_gram, histories, self.manifest.fold_in)


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointDraft:
    """What training hands over for publication.

    vocabulary: ids of the items, in the order of the rows.
    item_vectors: Q, float32, finite, shape (items, dim).
    item_counts: people who met each item, float32, >= 0, shape (items,).
    catalogues: vertical -> the rows of its items; each row belongs to one.
    blend: how popularity enters for people of whom few items are known; by default it does not.
    item_item: weights beside the product of the two towers, where there are any.
    query_tower: what the context of a request adds to a user embedding, where anything does.
    """

    vocabulary: ItemVocabulary
    item_vectors: Float32Array
    item_counts: Float32Array
    fold_in: FoldInSettings
    round_number: int
    catalogues: Catalogues
    blend: BlendSettings = UNBLENDED
    item_item: ItemItem | None = None
    query_tower: QueryTower | None = None
    parent_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    privacy: PrivacySpent | None = None
    training: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        items = len(self.vocabulary)
        if self.item_vectors.ndim != 2 or len(self.item_vectors) != items or not self.item_vectors.size:
            raise BadInput(f"item vectors of {items} items have shape ({items}, dim); got {self.item_vectors.shape}")
        if self.item_counts.shape != (items,):
            raise BadInput(f"item counts of {items} items have shape ({items},); got {self.item_counts.shape}")
        require_partition(self.catalogues, items)
        if self.item_item is not None:
            _require_known(self.item_item, items)
        if self.query_tower is not None and self.query_tower.dim != self.item_vectors.shape[1]:
            raise BadInput(
                f"the vectors of a query tower are as long as those of the items; "
                f"got {self.query_tower.dim} and {self.item_vectors.shape[1]} numbers"
            )
        if (self.item_counts < 0).any():
            raise BadInput(f"item counts are numbers of people, >= 0; got {self.item_counts.min()}")
        for name in ("item_vectors", "item_counts"):
            array = getattr(self, name)
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise BadInput(
                    f"{name} of a checkpoint are finite float32 numbers; training has diverged or mixed types"
                )


def write_checkpoint(folder: Path, draft: CheckpointDraft, key: SigningKey) -> CheckpointManifest:
    """Write all files of a checkpoint into an empty folder, the manifest last, and return when the disk has them."""
    files: dict[str, FileDigest] = {}
    gram = np.ascontiguousarray(draft.item_vectors.T @ draft.item_vectors)
    contents = {
        "item_ids.json": json.dumps(draft.vocabulary.item_ids, ensure_ascii=False).encode(),
        "item_vectors.safetensors": save_safetensors({"item_vectors": np.ascontiguousarray(draft.item_vectors)}),
        "item_gram.safetensors": save_safetensors({"item_gram": gram}),
        "item_counts.safetensors": save_safetensors({"item_counts": draft.item_counts}),
    }
    if draft.item_item is not None:
        pair = {"rows": draft.item_item.rows, "weights": np.ascontiguousarray(draft.item_item.weights)}
        contents["item_item.safetensors"] = save_safetensors(pair)
    if draft.query_tower is not None:
        contents["context.safetensors"] = save_safetensors(named_vectors(draft.query_tower))
    for name, content in contents.items():
        write_synced(folder / name, content)
        files[name] = FileDigest(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    facts = {
        "format_version": FORMAT_VERSION,
        "parent_id": draft.parent_id,
        "fold_in": [draft.fold_in.alpha, draft.fold_in.regularization],
        "blend": [draft.blend.weight, draft.blend.people, draft.blend.discount],
        "catalogues": dict(draft.catalogues),
    }
    manifest = CheckpointManifest(
        checkpoint_id=derive_checkpoint_id(draft.round_number, facts, files),
        parent_id=draft.parent_id,
        created=datetime.now(UTC),
        round_number=draft.round_number,
        dim=draft.item_vectors.shape[1],
        catalogues=draft.catalogues,
        fold_in=draft.fold_in,
        blend=draft.blend,
        metrics=draft.metrics,
        privacy=draft.privacy,
        training=draft.training,
        files=files,
    )
    content = manifest.to_bytes()
    signature = key.sign(content)
    signed = json.dumps({"key_id": signature.key_id, "signature": signature.signature.hex()})
    write_synced(folder / "manifest.sig", signed.encode())
    write_synced(folder / "manifest.json", content)
    sync_folder(folder)
    return manifest


def read_manifest(folder: Path, trusted: TrustedKeys) -> CheckpointManifest:
    """The manifest of the checkpoint in that folder, its signature verified before anything of it is believed.

    Raises:
        UnknownCheckpoint: there is no such folder.
        UntrustedCheckpoint: no trusted key signed it.
        CorruptCheckpoint: it is signed and yet not a manifest of this format, or not this folder's.
    """
    content, signature = _read_signed(folder)
    trusted.verify(content, signature, f"checkpoint {folder.name}")
    try:
        manifest = CheckpointManifest.model_validate_json(content)
    except ValidationError as error:
        raise CorruptCheckpoint(
            f"the manifest of {folder.name} is not one of format {FORMAT_VERSION}: {faults_of(error)}"
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise CorruptCheckpoint(
            f"checkpoint {folder.name} has format {manifest.format_version}; this Hearth reads format {FORMAT_VERSION}"
        )
    if manifest.checkpoint_id != folder.name:
        raise CorruptCheckpoint(f"the folder {folder.name} holds the manifest of {manifest.checkpoint_id}")
    return manifest


def read_checkpoint(folder: Path, trusted: TrustedKeys) -> Checkpoint:
    """Read and verify a whole checkpoint; raises as `read_manifest`, and `CorruptCheckpoint` for any other byte."""
    manifest = read_manifest(folder, trusted)
    contents = {name: _read_verified(folder / name, digest) for name, digest in manifest.files.items()}
    try:
        vocabulary = ItemVocabulary(_ITEM_IDS.validate_json(contents["item_ids.json"], strict=True))
        require_partition(manifest.catalogues, len(vocabulary))
        arrays = {name: load_safetensors(contents[f"{name}.safetensors"])[name] for name in _ARRAYS}
        item_item = _item_item(contents.get("item_item.safetensors"), len(vocabulary))
        query_tower = _query_tower(contents.get("context.safetensors"), manifest.dim)
    except (KeyError, ValueError, BadInput, SafetensorError) as error:
        raise CorruptCheckpoint(f"checkpoint {folder.name} does not hold what its format asks for: {error}") from error
    shapes = {
        "item_vectors": (manifest.items, manifest.dim),
        "item_gram": (manifest.dim, manifest.dim),
        "item_counts": (manifest.items,),
    }
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype != np.float32 or not np.isfinite(array).all():
            raise CorruptCheckpoint(
                f"{name} of checkpoint {folder.name} is {array.dtype} {array.shape}, or not finite; "
                f"its manifest asks for finite float32 {shapes[name]}"
            )
        array.flags.writeable = False
    return Checkpoint(
        manifest,
        vocabulary,
        arrays["item_vectors"],
        arrays["item_gram"],
        arrays["item_counts"],
        item_item,
        query_tower,
    )


def _item_item(content: bytes | None, items: int) -> ItemItem | None:
    """The item-item weights of that file; raises `BadInput` and others for what are none."""
    if content is None:
        return None
    arrays = load_safetensors(content)
    item_item = ItemItem(arrays["rows"], arrays["weights"])
    _require_known(item_item, items)
    for array in arrays.values():
        array.flags.writeable = False
    return item_item


def _query_tower(content: bytes | None, dim: int) -> QueryTower | None:
    """The query tower of that file; raises `BadInput` and others for what is none."""
    if content is None:
        return None
    named = load_safetensors(content)
    for array in named.values():
        array.flags.writeable = False
    return tower_of(dim, named)


def _require_known(item_item: ItemItem, items: int) -> None:
    if len(item_item.rows) and item_item.rows[-1] >= items:
        raise BadInput(f"item-item weights are of rows below {items}; got row {item_item.rows[-1]}")


def _read_signed(folder: Path) -> tuple[bytes, Signature]:
    if not folder.is_dir():
        raise UnknownCheckpoint(f"there is no checkpoint {folder.name} in {folder.parent}")
    try:
        content = read_regular(folder / "manifest.json", _LARGEST_MANIFEST)
        signed = _SignatureFile.model_validate_json(read_regular(folder / "manifest.sig", _LARGEST_SIGNATURE))
        return content, Signature(signed.key_id, bytes.fromhex(signed.signature))
    except FileNotFoundError as error:
        raise CorruptCheckpoint(f"checkpoint {folder.name} has no {Path(error.filename).name}") from error
    except ValueError as error:
        raise UntrustedCheckpoint(f"the signature of checkpoint {folder.name} cannot be read: {error}") from error


def _read_verified(path: Path, digest: FileDigest) -> bytes:
    try:
        content = read_regular(path, digest.size)
    except FileNotFoundError as error:
        raise CorruptCheckpoint(f"checkpoint {path.parent.name} has no {path.name}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest.sha256:
        raise CorruptCheckpoint(
            f"{path.name} of checkpoint {path.parent.name} has {len(content)} bytes with sha256 {found}; "
            f"its manifest asks for {digest.size} bytes with sha256 {digest.sha256}"
        )
    return content
