"""The body of an HTTP/1 request, taken piece by piece from what a connection has read, and never beyond its end."""

from typing import Protocol

import httptools

from serving.heads import LARGEST_HEAD, Head, Malformed

_CHUNKED = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"  # so that llhttp begins with a body


class Body(Protocol):
    """A body as it comes.

    is_whole: whether all of it has been taken.
    """

    is_whole: bool

    def take(self, unread: bytearray) -> bytes:
        """The next bytes of the body, maybe none; takes from unread what they were sent as, at least one byte."""


def body_of(head: Head) -> Body:
    """The body that this head announces."""
    return ChunkedBody() if head.length is None else CountedBody(head.length)


class CountedBody:
    """A body of a length known before: all that is there is one piece."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_whole = length == 0

    def take(self, unread: bytearray) -> bytes:
        """As in `Body`."""
        piece = bytes(unread[: self._left])
        del unread[: self._left]
        self._left -= len(piece)
        self.is_whole = self._left == 0
        return piece


class ChunkedBody:
    """A body in chunks, which llhttp (httptools) reads; its trailers are checked, and dropped.

    llhttp reads on behind the end, and does not say where that was. The end lies behind a line feed: so a piece ends
    with the first that there is, were it one within a chunk.
    """

    def __init__(self) -> None:
        self._found = b""
        self._without = 0  # bytes since the last one of the body: of an extension, say, or of trailers
        self.is_whole = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED)

    def on_body(self, body: bytes) -> None:
        """Bytes of the body, as llhttp finds them."""
        self._found += body
        self._without = 0

    def on_message_complete(self) -> None:
        """The end, as llhttp finds it."""
        self.is_whole = True

    def take(self, unread: bytearray) -> bytes:
        """As in `Body`; `Malformed` where it breaks HTTP, or goes on for too long without a byte of the body."""
        size = unread.find(b"\n") + 1 or len(unread)
        self._found = b""
        self._without += size
        try:
            self._parser.feed_data(unread[:size])
        except httptools.HttpParserError as error:
            raise Malformed(str(error)) from None
        if self._without > LARGEST_HEAD:
            raise Malformed("much between two bytes of a body")
        del unread[:size]
        if self.is_whole:
            del self._parser  # it holds our methods, which hold us
        return self._found
