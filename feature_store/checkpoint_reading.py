"""Reading a checkpoint: nothing of it is believed before its signature and digests are verified."""

import hashlib
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from feature_store.checkpoint import Checkpoint, require_known
from feature_store.errors import BadInput, CorruptCheckpoint, UnknownCheckpoint, UntrustedCheckpoint
from feature_store.faults import faults_of
from feature_store.item_item import ItemItem
from feature_store.manifest import FORMAT_VERSION, CheckpointManifest, FileDigest
from feature_store.query_tower import QueryTower, tower_of
from feature_store.regular_file import read_regular
from feature_store.row_ranges import require_partition
from feature_store.signing import Signature, TrustedKeys
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
    require_known(item_item, items)
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
