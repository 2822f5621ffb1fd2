"""Small checkpoints to publish, and registries of a test's own folder."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

from feature_store.blend import BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.fold_in import FoldInSettings
from feature_store.item_item import ItemItem
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary


def a_draft(seed: int = 0, items: int = 6, dim: int = 3) -> CheckpointDraft:
    """A draft with its own numbers for each seed."""
    rng = np.random.default_rng(seed)
    return CheckpointDraft(
        vocabulary=ItemVocabulary(f"item {n}" for n in range(items)),
        item_vectors=rng.normal(size=(items, dim)).astype(np.float32),
        item_counts=rng.integers(0, 50, size=items).astype(np.float32),
        fold_in=FoldInSettings(alpha=0.1, regularization=0.01),
        round_number=seed,
        catalogues={"films": ((0, items - 2), (items - 1, items)), "books": ((items - 2, items - 1),)},
        blend=BlendSettings(weight=0.5, people=60),
        item_item=ItemItem(np.array([1, 4], np.int32), rng.normal(size=(2, 2)).astype(np.float32)),
        metrics={"ndcg@20": 0.25},
        training={"algorithm": "curvature", "dim": dim},
    )


def registry_of(place: Path | str, key: SigningKey, copies: Path | None = None) -> Registry:
    """A registry whose reader trusts that key alone."""
    return Registry(place, TrustedKeys([key.public]), copies)


def sign_again(folder: Path, key: SigningKey, **changes: object) -> None:
    """Change fields of a checkpoint's manifest, take the digests of its files as they are now, and sign it all."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": sha256(content).hexdigest(), "size": len(content)}
    content = json.dumps(manifest | changes).encode()
    signature = key.sign(content)
    (folder / "manifest.json").write_bytes(content)
    (folder / "manifest.sig").write_text(
        json.dumps({"key_id": signature.key_id, "signature": signature.signature.hex()})
    )
