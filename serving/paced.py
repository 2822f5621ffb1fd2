"""Paced: what one connection sends is taken in so many pieces at a stretch, so that others have their turn between.

A body in chunks of one byte costs some 15 microseconds of the event loop for each 6 bytes on the wire, and one read may
have 40,000 of them: whoever sends such a body would stand in everybody's way, with or without an API key.
"""

import h11

AT_A_STRETCH = 256  # pieces of a body: a few milliseconds


class PacedConnection(h11.Connection):
    """A server's side of one connection; pieces of bodies are held back once a stretch has had enough of them.

    max_incomplete_event_size: bytes of a head.
    """

    def __init__(self, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._left = AT_A_STRETCH
        self.holds_back = False

    def begin_stretch(self) -> None:
        """Give out as much as a stretch may have."""
        self._left, self.holds_back = AT_A_STRETCH, False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As in h11; `NEED_DATA`, and `holds_back` is true, where there may be more and this stretch is over."""
        if self._left <= 0:
            self.holds_back = True
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._left -= 1
        return event
