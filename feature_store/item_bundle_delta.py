"""Changes of an item bundle: what a device that has one needs to make the next of it, byte for byte.

Items are matched by their ids, whatever came, went or moved. Of an item that both have, what is sent are the
differences of its numbers of 16 bits, modulo 2^16: nought where nothing changed, small ones where training went on for
a little, and both compress. Of a new item its numbers are sent as they are. Sections without rows are sent whole where
they changed.

Changes are signed as a bundle is, and carry the signature of the bundle that they lead to.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.errors import BundleMismatch, CorruptBundle
from feature_store.faults import faults_of
from feature_store.item_bundle import MAGIC, ItemBundle, bundle_of, vector_sections
from feature_store.item_bundle_vectors import Int16Array, split
from feature_store.sealed_file import open_sealed, seal, sealed_of
from feature_store.signing import Signature, SigningKey, TrustedKeys

DELTA_MAGIC = b"HEARTHID"
_BY_ROW = ("item_ids", "titles", "coarse", "fine", "steps", "counts")
_NUMBERS = ("codes", "steps", "counts")
_WHOLE = "whole_"


class _DeltaFacts(BaseModel):
    """From which bundle to which, and what stands in the file of that one beside its sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_bundle: str = Field(pattern="^[0-9a-f]{64}$")
    to_bundle: str = Field(pattern="^[0-9a-f]{64}$")
    table: str
    key_id: str = Field(pattern="^[0-9a-f]{16}$")
    signature: str = Field(pattern="^[0-9a-f]{128}$")
    items: int = Field(ge=1, le=1 << 28)


def make_delta(old: ItemBundle, new: ItemBundle, key: SigningKey) -> bytes:
    """The changes from one bundle to another; raises `BundleMismatch` where their vectors differ in length."""
    if old.facts.dim != new.facts.dim:
        raise BundleMismatch(
            f"there are no changes from vectors of {old.facts.dim} numbers to those of {new.facts.dim}; "
            "send the whole bundle"
        )
    rows = {item_id: row for row, item_id in enumerate(old.vocabulary.item_ids)}
    source = np.array([rows.get(item_id, -1) for item_id in new.vocabulary.item_ids], np.int64)
    carried = _carried(old, source)
    titles = [old.titles[row] if row >= 0 else "" for row in source]
    retitled = [row for row, (was, now) in enumerate(zip(titles, new.titles, strict=True)) if was != now]
    sections = {
        "source": np.diff(source, prepend=-1).astype("<i4").tobytes(),
        "added_ids": _text([new.vocabulary.item_ids[row] for row in np.flatnonzero(source < 0)]),
        "retitled_rows": np.diff(np.array(retitled, np.int64), prepend=-1).astype("<i4").tobytes(),
        "retitled": _text([new.titles[row] for row in retitled]),
        **{name: _planes(numbers - carried[name]) for name, numbers in _numbers(new).items()},
    }
    for name, content in new.sealed.sections.items():
        if name not in _BY_ROW and old.sealed.sections.get(name) != content:
            sections[_WHOLE + name] = content
    facts = _DeltaFacts(
        from_bundle=old.bundle_id,
        to_bundle=new.bundle_id,
        table=new.sealed.table.decode(),
        key_id=new.sealed.signature.key_id,
        signature=new.sealed.signature.signature.hex(),
        items=len(source),
    )
    return seal(DELTA_MAGIC, facts.model_dump(), sections, key).to_bytes()


def apply_delta(old: ItemBundle, delta: bytes, trusted: TrustedKeys) -> ItemBundle:
    """The bundle that the changes lead to; its `sealed.to_bytes()` is the file that `make_bundle` made.

    Raises:
        BundleMismatch: they are the changes of another bundle.
        CorruptBundle: they are damaged, or do not lead where they say.
        UntrustedCheckpoint: no trusted key signed them, or the bundle that they lead to.
    """
    what = "the changes of an item bundle"
    opened = open_sealed(delta, DELTA_MAGIC, trusted, what)
    try:
        facts = _DeltaFacts.model_validate(opened.facts)
    except ValidationError as error:
        raise CorruptBundle(f"{what} do not say what they are: {faults_of(error)}") from error
    if facts.from_bundle != old.bundle_id:
        raise BundleMismatch(f"these are changes of bundle {facts.from_bundle[:12]}; here is {old.bundle_id[:12]}")
    try:
        sections = _sections(old, opened.sections, facts.items)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise CorruptBundle(f"{what} do not hold what their format asks for: {error!r}") from error
    signature = Signature(facts.key_id, bytes.fromhex(facts.signature))
    made = sealed_of(MAGIC, facts.table.encode(), signature, sections, trusted, "the item bundle that was made")
    if made.digest != facts.to_bundle:
        raise CorruptBundle(f"{what} lead to {made.digest[:12]}; they say {facts.to_bundle[:12]}")
    return bundle_of(made)


def _sections(old: ItemBundle, sent: Any, items: int) -> dict[str, bytes]:
    """The sections of the next bundle; whatever is wrong with them, their digests will tell."""
    source = _summed(sent["source"])
    if len(source) != items or source.min() < -1 or source.max() >= len(old.titles):
        raise ValueError(f"{len(source)} rows of {items}, from {source.min()} to {source.max()}")
    added = iter(json.loads(sent["added_ids"]))
    old_ids = old.vocabulary.item_ids
    ids = [old_ids[row] if row >= 0 else next(added, "") for row in source.tolist()]
    titles = [old.titles[row] if row >= 0 else "" for row in source.tolist()]
    for row, title in zip(_summed(sent["retitled_rows"]).tolist(), json.loads(sent["retitled"]), strict=True):
        titles[row] = title
    sections = {"item_ids": _text(ids), "titles": _text(titles)}
    carried = _carried(old, source)
    codes, steps, counts = (carried[name] + _unplaned(sent[name], carried[name].shape) for name in _NUMBERS)
    sections |= vector_sections(split(codes, steps)) | {"counts": counts.astype("<i2").tobytes()}
    kept = {name: content for name, content in old.sealed.sections.items() if name not in _BY_ROW}
    whole = {name.removeprefix(_WHOLE): content for name, content in sent.items() if name.startswith(_WHOLE)}
    return {**sections, **kept, **whole}


def _carried(old: ItemBundle, source: npt.NDArray[np.int64]) -> dict[str, Int16Array]:
    """What the next bundle would hold if nothing had changed; 0 in the rows of new items."""
    carried = {}
    for name, numbers in _numbers(old).items():
        carried[name] = numbers[np.maximum(source, 0)]
        carried[name][source < 0] = 0
    return carried


def _numbers(bundle: ItemBundle) -> dict[str, Int16Array]:
    """What a bundle holds of each item in numbers of 16 bits, which wrap around."""
    counts = np.frombuffer(bundle.sealed.sections["counts"], "<i2").astype(np.int16, copy=False)
    return dict(zip(_NUMBERS, (bundle.vectors.codes(), bundle.vectors.quarters, counts), strict=True))


def _planes(differences: Int16Array) -> bytes:
    """All lower bytes, then all upper ones, which are 0 where a difference is small: its sign is its lowest bit."""
    folded = (differences << 1 ^ differences >> 15).astype("<i2")
    octets = np.ascontiguousarray(folded).view(np.uint8).reshape(-1, 2)
    return np.ascontiguousarray(octets.T).tobytes()


def _unplaned(content: bytes, shape: tuple[int, ...]) -> Int16Array:
    octets = np.frombuffer(content, np.uint8).reshape(2, -1)
    folded = np.ascontiguousarray(octets.T).view("<u2").reshape(shape)
    differences: Int16Array = (folded >> 1).astype(np.int16) ^ -(folded & 1).astype(np.int16)
    return differences


def _summed(content: bytes) -> npt.NDArray[np.int64]:
    """Numbers of their differences, of which the first is the number itself plus one."""
    numbers: npt.NDArray[np.int64] = np.cumsum(np.frombuffer(content, "<i4").astype(np.int64)) - 1
    return numbers


def _text(texts: list[str]) -> bytes:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
