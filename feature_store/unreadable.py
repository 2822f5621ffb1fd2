"""People of whom something cannot be read: a pass over everybody leaves them as they are, and tells at its end.

One damaged value would otherwise keep all who come behind it from being forgotten, or sealed with a new key.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from feature_store.errors import CorruptStore, UnknownKey

UNREADABLE = (CorruptStore, UnknownKey)  # of one value; the store itself goes on
_NAMED = 5  # people in a message


class Unreadable:
    """Those whom one pass has left out, by pseudonym: their ids may be what cannot be read."""

    def __init__(self) -> None:
        self._people: dict[str, None] = {}
        self._first: CorruptStore | UnknownKey | None = None

    @contextmanager
    def left_out(self, pseudonym: bytes) -> Iterator[None]:
        """Leave the person out where a value cannot be opened in the block, which ends there."""
        try:
            yield
        except UNREADABLE as error:
            self.add(pseudonym, error)

    def add(self, pseudonym: bytes, error: CorruptStore | UnknownKey) -> None:
        """Leave the person out for that reason."""
        self._people[pseudonym.hex()] = None
        self._first = self._first or error

    def tell(self, place: str, done: str) -> None:
        """Raise the first error as one of all of them, if there are any.

        place: the file or the server.
        done: what was done with everybody else.
        """
        if self._first is None:
            return
        named = ", ".join(list(self._people)[:_NAMED]) + (", ..." if len(self._people) > _NAMED else "")
        raise type(self._first)(
            f"{place}: {done}, but for {len(self._people)} people who cannot be read and were left as they are "
            f"(pseudonyms {named}); the first: {self._first}"
        ) from self._first
