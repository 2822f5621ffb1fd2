"""Writing a checkpoint: its files, their digests, the manifest over them, and the signature over that."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save as save_safetensors

from feature_store.checkpoint import CheckpointDraft
from feature_store.durable import sync_folder, write_synced
from feature_store.manifest import FORMAT_VERSION, CheckpointManifest, FileDigest, derive_checkpoint_id
from feature_store.query_tower import named_vectors
from feature_store.signing import SigningKey


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
