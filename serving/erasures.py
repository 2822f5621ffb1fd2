"""The rights of a person over HTTP: export, and erasure with a receipt that can be asked for again.

What is held of the person goes at once, and is read again before the receipt is given. The files that the stores write
may hold sealed remains for longer; these are written anew in the background, one rewriting for all erasures before it,
and the receipt then says so. What cannot be written now is tried again for as long as the server runs. Receipts are
kept in memory, by the server that gave them: they name nobody.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.rights import ErasureReceipt, erase_person, export_person
from feature_store.stores import JsonObject, LocalStores, PlaceOfPeople

_LOG = logging.getLogger("serving.erasures")
_KEPT = 10_000  # receipts
_LONGEST_WAIT = 60.0  # seconds between attempts to write files anew

Further = Callable[[], Awaitable[Mapping[str, PlaceOfPeople]]]


class Erasures:
    """Exports and erasures of one place.

    stores: of the place.
    further: what else holds something of people, such as the social graph; asked for each time, as it may come later.
    again_seconds: after which files that could not be written are tried again; it doubles each time.
    """

    def __init__(self, stores: LocalStores, further: Further, again_seconds: float = 1.0) -> None:
        self._stores, self._further, self._again_seconds = stores, further, again_seconds
        self._receipts: OrderedDict[str, ErasureReceipt] = OrderedDict()
        self._rewriting: asyncio.Task[None] | None = None
        self._waiting: set[str] = set()  # erasures whose files are to be written anew

    async def export(self, person: str, user_id: str) -> JsonObject:
        """All that is held, as one document; raises `StoreUnavailable`.

        person: as the stores know the person.
        user_id: as who asks knows the person; the document has this one, and other people of the same tenant as who
            asks knows them.
        """
        try:
            found = await export_person(self._stores, person, await self._further())
        except StoreError as error:
            raise self._failed("export", error) from error
        tenant = person.removesuffix(user_id)
        named = {name: _without(tenant, part) if tenant else part for name, part in found.items()}
        return {**named, "user_id": user_id}

    async def erase(self, person: str) -> tuple[str, ErasureReceipt]:
        """Remove all that is held; gives the receipt and an id to ask for it again. Raises `StoreUnavailable`.

        Where it raises, some of it may be gone; asking again goes on.
        """
        try:
            receipt = await erase_person(self._stores, person, await self._further())
        except StoreError as error:
            raise self._failed("erasure", error) from error
        erasure_id = secrets.token_hex(16)
        self._receipts[erasure_id] = receipt
        while len(self._receipts) > _KEPT:
            self._receipts.popitem(last=False)
        self._waiting.add(erasure_id)
        if self._rewriting is None or self._rewriting.done():
            self._rewriting = asyncio.create_task(self._rewrite())
        return erasure_id, receipt

    def receipt(self, erasure_id: str) -> ErasureReceipt | None:
        """The receipt of an erasure, as far as it has come by now; None for one that this server does not know."""
        return self._receipts.get(erasure_id)

    async def close(self) -> None:
        """End the writing of files; a store that has not finished goes on when it is opened next, or is told to."""
        if self._rewriting is not None:
            self._rewriting.cancel()
            await asyncio.gather(self._rewriting, return_exceptions=True)

    async def _rewrite(self) -> None:
        wait = self._again_seconds
        written: dict[str, set[str]] = {}
        while self._waiting:
            erasures = set(self._waiting)
            if not await self._written(erasures, written):
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
                continue
            wait = self._again_seconds
            self._waiting -= erasures
            for erasure_id in erasures & self._receipts.keys():
                self._receipts[erasure_id] = replace(self._receipts[erasure_id], files_rewritten=True)

    async def _written(self, erasures: set[str], written: dict[str, set[str]]) -> bool:
        """Write the files of all places anew after these erasures; whether all could be.

        written: place -> the erasures after which its files were written last; these are not written again for them.
        """
        places: dict[str, PlaceOfPeople] = {"events": self._stores.events}
        could = True
        try:
            places.update(await self._further())
        except StoreError as error:
            could = self._not_written("further", error)
        for name, place in places.items():
            if erasures <= written.get(name, set()):
                continue
            try:
                await place.finish_erasures()
                written[name] = erasures
            except StoreError as error:
                could = self._not_written(name, error)
        return could

    @staticmethod
    def _not_written(place: str, error: StoreError) -> bool:
        fields = {"place": place, "reason": type(error).__name__}
        _LOG.warning("files not written anew", extra={"fields": fields})
        return False

    @staticmethod
    def _failed(what: str, error: StoreError) -> StoreUnavailable:
        _LOG.warning("rights not honoured now", extra={"fields": {"what": what, "reason": type(error).__name__}})
        return StoreUnavailable(f"the {what} could not be done now: {type(error).__name__}")


def _without(prefix: str, part: Any) -> Any:
    """The part of a document, with that prefix taken from every text that has it."""
    match part:
        case str():
            return part.removeprefix(prefix)
        case Mapping():
            return {name: _without(prefix, value) for name, value in part.items()}
        case list():
            return [_without(prefix, value) for value in part]
    return part
