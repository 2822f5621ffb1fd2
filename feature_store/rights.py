"""The rights of a person: to see all that is held of them, to have it erased, and not to be remembered for ever."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from feature_store.events import require_time
from feature_store.stores import Clock, HeldOfPeople, JsonObject, LocalStores, PlaceOfPeople
from feature_store.unreadable import UNREADABLE

FORMAT = "hearth-person/1"
_NOTHING_MORE: Mapping[str, PlaceOfPeople] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What was removed of one person, and that nothing is left.

    pseudonym: what the store knew the person by: it tells nobody without the store who that was.
    removed: place -> how many things were removed there.
    left: place -> how many things were found when it was read again afterwards.
    files_rewritten: whether the files of all places were written anew since, without what was removed.
    erased_at: seconds since 1970.
    """

    pseudonym: str
    removed: Mapping[str, int]
    left: Mapping[str, int]
    files_rewritten: bool
    erased_at: float

    @property
    def is_complete(self) -> bool:
        """Whether nothing was found any more."""
        return not any(self.left.values())

    def as_json(self) -> JsonObject:
        """The receipt, ready for `json.dumps`."""
        return {
            "pseudonym": self.pseudonym,
            "removed": dict(self.removed),
            "left": dict(self.left),
            "complete": self.is_complete,
            "files_rewritten": self.files_rewritten,
            "erased_at": self.erased_at,
        }


async def export_person(
    stores: LocalStores, user_id: str, further: Mapping[str, HeldOfPeople] = _NOTHING_MORE
) -> JsonObject:
    """One document of all that is held of the person, ready for `json.dumps`.

    further: other places that hold something of people, by the name that the document gives them.
    """
    held = {name: await place.export(user_id) for name, place in _places(stores, further).items()}
    content = {name: {key: part for key, part in export.items() if key != "user_id"} for name, export in held.items()}
    return {"format": FORMAT, "user_id": user_id, **content}


async def erase_person(
    stores: LocalStores,
    user_id: str,
    further: Mapping[str, PlaceOfPeople] = _NOTHING_MORE,
    clock: Clock = time.time,
    *,
    rewrite_files: bool = False,
) -> ErasureReceipt:
    """Remove all that is held of the person, read every place again, and say what came of it.

    Events go first: whoever folds the person in from then on finds nothing to fold in. A request of the person that
    comes in at the same time may still leave something; the receipt says so, and erasing again removes it.

    rewrite_files: then write the files of all places anew (`PlaceOfPeople.finish_erasures`), which takes as long as
        writing all that they hold of everybody.

    Raises:
        StoreError: a place failed; what it and those after it hold may still be there, and asking again goes on.
    """
    places = _places(stores, further)
    removed = {name: await place.delete(user_id) for name, place in places.items()}
    if rewrite_files:
        for place in (stores.events, *further.values()):
            await place.finish_erasures()
    left = {name: _things(await place.export(user_id)) for name, place in places.items()}
    return ErasureReceipt(stores.events.pseudonym(user_id), removed, left, rewrite_files, clock())


async def forget_before(stores: LocalStores, time: float) -> int:
    """Remove everybody's events older than `time` (seconds since 1970), and the embeddings that were made from them.

    Embeddings go first, so that one that was broken off leaves none behind that nobody would look for again. A person
    who comes back while this runs is folded in from what is held then; the watermark tells such an embedding apart.

    Returns:
        How many events there were.

    Raises:
        BadInput: the time is none.
        CorruptStore, UnknownKey: of some people what they did cannot be read. It is done for everybody else.
    """
    require_time("the time before which is forgotten", time)
    with suppress(*UNREADABLE):  # whoever cannot be named; the events' own pass, at the end, tells of them
        async for user_id in stores.events.user_ids():
            if not await _is_as_before(stores, user_id, time):
                await stores.embeddings.delete(user_id)
    return await stores.events.forget_before(time)


async def _is_as_before(stores: LocalStores, user_id: str, time: float) -> bool:
    """Whether an embedding of the person is made of what was done since that time alone, as far as can be read."""
    try:
        left = (await stores.events.met(user_id, since=time)).item_ids
        return bool(left) and left == (await stores.events.met(user_id)).item_ids
    except UNREADABLE:
        return False


def _places(stores: LocalStores, further: Mapping[str, HeldOfPeople]) -> dict[str, HeldOfPeople]:
    return {"events": stores.events, "embeddings": stores.embeddings, **further}


def _things(export: JsonObject) -> int:
    return sum(len(part) for part in export.values() if isinstance(part, list))
