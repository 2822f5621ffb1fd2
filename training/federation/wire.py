"""The wire: tasks and replies as bytes, and bytes that are none of them refused.

A message is one safetensors file: its arrays, and in the metadata, as JSON, the version of this form and the header.
Reading it runs no code of its author. What it says of itself is looked at before anything is made of it: which arrays
there are, their types, and that their numbers are finite.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from feature_store.faults import faults_of
from feature_store.vocabulary import ItemVocabulary
from training.federation.errors import BadMessage
from training.federation.tasks import Arrays, Header, Reply, ReplyMessage, SumsHeader, Task, TaskMessage

VERSION = "1"
MOST_BYTES = 1 << 31  # of a message; the vectors of four million items at dim 128
_MOST_HEADER = 1 << 16  # bytes before the arrays
_TYPES = {"F32": np.float32, "U8": np.uint8}
_TASK_ARRAYS: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "population": {"item_ids": ("U8", 1)},
    "round": {"item_vectors": ("F32", 2)},
    "compressed": {"table": ("U8", 2), "scales": ("F32", 1), "steps": ("U8", 1)},
    "evaluate": {"item_vectors": ("F32", 2), "item_discounts": ("F32", 1)},
    "private": {"popularity": ("F32", 1), "directions": ("F32", 2)},
    "adopt": {},
}
_TASK: TypeAdapter[Task] = TypeAdapter(Task)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def task_to_bytes(task: TaskMessage) -> bytes:
    """The task as a message; raises `BadMessage` where its arrays are not those of its kind."""
    return _written("task", task.header, task.arrays)


def task_from_bytes(content: bytes) -> TaskMessage:
    """The task that `task_to_bytes` wrote; raises `BadMessage`."""
    named, arrays = _read("task", content)
    header = _header(_TASK, named)
    expected = _TASK_ARRAYS[header.kind]
    got = {name: (_type(array.dtype), array.ndim) for name, array in arrays.items()}
    if got != expected:
        raise BadMessage(f"a task of kind {header.kind} has the arrays {dict(expected)}; got {got}")
    if empty := [name for name in ("item_vectors", "table") if name in arrays and not arrays[name].size]:
        raise BadMessage(f"a task has items, and numbers for each; {empty[0]} has the shape {arrays[empty[0]].shape}")
    return TaskMessage(header, arrays)


def reply_to_bytes(reply: ReplyMessage) -> bytes:
    """The reply as a message."""
    return _written("reply", reply.header, reply.arrays)


def reply_from_bytes(content: bytes) -> ReplyMessage:
    """The reply that `reply_to_bytes` wrote; raises `BadMessage`."""
    named, arrays = _read("reply", content)
    header = _header(_REPLY, named)
    if not isinstance(header, SumsHeader) and arrays:
        raise BadMessage(f"a refusal has no arrays; got {sorted(arrays)}")
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise BadMessage("sums are float32 numbers; got bytes among them")
    return ReplyMessage(header, arrays)


def item_ids_to_array(vocabulary: ItemVocabulary) -> Any:
    """The ids in the order of their rows, as an array of bytes."""
    return np.frombuffer(json.dumps(vocabulary.item_ids).encode(), np.uint8)


def item_ids_from_array(array: Any) -> ItemVocabulary:
    """The vocabulary that `item_ids_to_array` was given; raises `BadMessage`, and `BadInput` for ids that are none."""
    try:
        item_ids = json.loads(array.tobytes())
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"item ids are a list as JSON: {error}") from error
    if not isinstance(item_ids, list) or not item_ids or not all(isinstance(item_id, str) for item_id in item_ids):
        raise BadMessage("item ids are a list of texts, at least one; got something else")
    return ItemVocabulary(item_ids)


def _written(what: str, header: Header, arrays: Arrays) -> bytes:
    about = {"message": what, "version": VERSION, "header": header.model_dump_json()}
    # One entry: safetensors writes several in any order, and equal messages are equal bytes.
    metadata = {"hearth": json.dumps(about, sort_keys=True)}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)


def _read(what: str, content: bytes) -> tuple[str, Arrays]:
    """The header's JSON and the arrays of a message."""
    if len(content) > MOST_BYTES:
        raise BadMessage(f"a message has at most {MOST_BYTES:,} bytes; got {len(content):,}")
    size = int.from_bytes(content[:8], "little")
    if not 0 < size <= _MOST_HEADER or size + 8 > len(content):
        raise BadMessage(f"a message begins with up to {_MOST_HEADER:,} bytes about its arrays; got {size:,}")
    try:
        about = json.loads(content[8 : 8 + size])
        said = json.loads(about["__metadata__"]["hearth"])
        kinds = {name: entry["dtype"] for name, entry in about.items() if name != "__metadata__"}
        told, version, named = said["message"], said["version"], said["header"]
        if set(kinds.values()) - set(_TYPES):
            raise BadMessage(f"the arrays of a message are {' and '.join(_TYPES)}; got {kinds}")
        arrays = load(content)
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise BadMessage(f"{len(content):,} bytes are no message: {type(error).__name__}: {error}") from error
    if (told, version) != (what, VERSION):
        raise BadMessage(f"a {what} of version {VERSION} is due here; got {told!r} of version {version!r}")
    if not isinstance(named, str):
        raise BadMessage("the header of a message is text; got something else")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise BadMessage("the arrays of a message hold finite numbers; got NaN or infinity")
    return named, arrays


def _header(adapter: TypeAdapter[Any], named: str) -> Any:
    try:
        return adapter.validate_json(named)
    except ValidationError as error:
        raise BadMessage(f"the header of a message is none: {faults_of(error)}") from error


def _type(dtype: Any) -> str:
    return next(name for name, known in _TYPES.items() if dtype == known)
