"""A watched file: settings that are read again when the file changes, while the old ones go on being used.

What counts is the content and not the time of the file: a file that is put back, or linked anew as Kubernetes does, is
found as well. A change counts once two looks in a row find the same, so that a file half written is not taken for a
shorter one.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from prometheus_client import Counter

from feature_store.errors import HearthError
from feature_store.regular_file import read_regular

_LOG = logging.getLogger("serving.watched_file")
_LARGEST = 8 << 20  # bytes
_SETTLES = 0.05  # seconds between the two looks at a file that has changed

Value = TypeVar("Value")


class WatchedFile(Generic[Value]):
    """What a file holds, as of its last content that could be used.

    Args:
        file: where it is.
        parse: what its name and content mean; raises `HearthError`.
        what: it is, for the log and the metric: "placements".
        loads: counts each content that came, by what it is and the outcome.
        beside: other files that `parse` reads by itself; where one of them changes, the file counts as changed.

    Raises:
        HearthError, OSError: there is nothing to begin with.
    """

    def __init__(
        self,
        file: Path,
        parse: Callable[[Path, bytes], Value],
        what: str,
        loads: Counter,
        beside: Sequence[Path] = (),
    ) -> None:
        self.file, self.what = file, what
        self._parse, self._loads, self._beside = parse, loads, tuple(beside)
        contents = self._contents()
        self.value = parse(file, contents[0])
        self.failure: str | None = None  # the name of the error that keeps the file's present content out
        self._used = self._judged = _digest(contents)
        self._prepare: Callable[[Value], Awaitable[None]] = _nothing
        for outcome in ("success", "failure"):
            self._loads.labels(what, outcome)  # an alert on the first failure needs the 0 before it

    def before_use(self, prepare: Callable[[Value], Awaitable[None]]) -> None:
        """Await that for each later content, before it is used in place of the one before."""
        self._prepare = prepare

    def digest(self) -> bytes | None:
        """Of the file's content now; None, which counts as a failure, where it cannot be read."""
        try:
            return _digest(self._contents())
        except (OSError, HearthError) as error:
            self._failed(error, b"")
            return None

    def has_changed(self, digest: bytes) -> bool:
        """Whether that content has not been judged yet. The one that is used is fine, whatever came in between."""
        if digest == self._used:
            self.failure, self._judged = None, digest
        return digest != self._judged

    async def take(self, digest: bytes) -> None:
        """Use the file's content if it is still that one, and can be used."""
        try:
            contents = await asyncio.to_thread(self._contents)
            if _digest(contents) != digest:
                return
            value = self._parse(self.file, contents[0])
            await self._prepare(value)
        except (OSError, HearthError) as error:
            self._failed(error, digest)
            return
        except Exception as error:  # whoever watches tells of it, and begins anew: the content is not judged yet
            self._failed(error, self._judged)
            raise
        self.value = value
        self.failure, self._used, self._judged = None, digest, digest
        self._loads.labels(self.what, "success").inc()
        _LOG.info("file read again", extra={"fields": {"file": str(self.file), "what": self.what}})

    def _contents(self) -> list[bytes]:
        return [read_regular(file, _LARGEST) for file in (self.file, *self._beside)]

    def _failed(self, error: Exception, digest: bytes) -> None:
        if self.failure is not None and self._judged == digest:
            return  # it has been said
        self.failure, self._judged = type(error).__name__, digest
        self._loads.labels(self.what, "failure").inc()
        fields = {"file": str(self.file), "what": self.what, "reason": self.failure, "detail": str(error)}
        _LOG.error("file not used; what it held before stays", extra={"fields": fields})


async def watch(files: Sequence[WatchedFile[Any]], every_seconds: float) -> NoReturn:
    """Look at these files again and again, until cancelled."""
    while True:
        for file in files:
            digest = await asyncio.to_thread(file.digest)
            if digest is not None and file.has_changed(digest):
                await asyncio.sleep(min(every_seconds, _SETTLES))
                await file.take(digest)
        await asyncio.sleep(every_seconds)


async def _nothing(_value: object) -> None:
    """Of a file whose content is used as it is."""


def _digest(contents: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).digest()
