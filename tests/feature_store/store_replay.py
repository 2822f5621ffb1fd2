"""Random uses of a store, replayed on two kinds of it: what the one says, the other must say too."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from feature_store.embedding import UserEmbedding
from feature_store.events import Event
from feature_store.met import MetItems
from feature_store.stores import LocalStores

_USERS = st.sampled_from(["ada", "bob", "c\0d"])
_CHECKPOINTS = ("r0001-aa", "r0002-bb", "r0003-cc")


class PutEvents(NamedTuple):
    events: list[Event]


class PutEmbedding(NamedTuple):
    user_id: str
    embedding: UserEmbedding


class Delete(NamedTuple):
    user_id: str


Step: TypeAlias = PutEvents | PutEmbedding | Delete

_EVENTS = st.builds(
    Event,
    event_id=st.sampled_from(["e1", "e2", "e3", "e4"]),
    user_id=_USERS,
    item_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=3),
    event=st.just("view"),
    timestamp=st.sampled_from([0.0, 1.5, 3.0]) | st.floats(0, 1e11, exclude_max=True),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
_EMBEDDINGS = st.builds(
    UserEmbedding,
    vector=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=3).map(
        lambda numbers: np.array(numbers, dtype=np.float32)
    ),
    checkpoint_id=st.sampled_from(_CHECKPOINTS),
    watermark=st.integers(0, 2**63 - 1),
)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.builds(PutEvents, st.lists(_EVENTS, max_size=6))
    | st.builds(PutEmbedding, _USERS, _EMBEDDINGS)
    | st.builds(Delete, _USERS),
    max_size=12,
)


async def replay(stores: LocalStores, steps: Sequence[Step]) -> list[object]:
    """All that the stores say while the steps are done, and all they hold after each.

    Watermarks are the stores' own numbers: they are told as "the n-th different one of this person".
    """
    said: list[object] = []
    marks: dict[str, list[int]] = {}
    for step in steps:
        match step:
            case PutEvents(events):
                said.append(await stores.events.put(events))
            case PutEmbedding(user_id, embedding):
                await stores.embeddings.put(user_id, embedding)
            case Delete(user_id):
                said.append((await stores.events.delete(user_id), await stores.embeddings.delete(user_id)))
        for user_id in ("ada", "bob", "c\0d"):
            history = await stores.events.get(user_id)
            seen = marks.setdefault(user_id, [0])
            if history.watermark not in seen:
                seen.append(history.watermark)
            met = await stores.events.met(user_id)
            assert met == MetItems(tuple(sorted(set(history.item_ids))), history.watermark)
            said.append((history.events, seen.index(history.watermark), await stores.events.export(user_id)))
            said.extend([await stores.embeddings.get(user_id, checkpoint) for checkpoint in _CHECKPOINTS])
            said.append(await stores.embeddings.export(user_id))
        said.append(sorted([user_id async for user_id in stores.events.user_ids()]))
    return said
