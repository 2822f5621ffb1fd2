"""The head of an HTTP/1 request, read strictly: two readers must not see two different requests in the same bytes.

The request line is read here; fields are read by llhttp (httptools), which refuses bare LF, folded lines, blanks around
names and control characters. What it lets pass and RFC 9112 does not is refused here.
"""

import re
from dataclasses import dataclass

import httptools

LARGEST_HEAD = 16_384  # bytes

_LARGEST_LENGTH = 20  # digits; llhttp takes any number of zeros before them, int() does not

# Method, target and version as RFC 9112, section 3. llhttp has a list of methods, and knows RTSP and HTTP/0.9 too.
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) (HTTP/1\.[01])\r\n")
_ANY_LINE = b"POST / HTTP/1.1\r\n"  # what llhttp is given in its place


class Malformed(ValueError):
    """What was sent is not HTTP/1, or not in a way that has one meaning."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says of itself.

    target: as it was sent.
    version: "1.0" or "1.1".
    headers: names in lower case; values without the blanks around them.
    length: bytes of the body; None for one in chunks.
    keeps_alive: whether the client may send another request behind this one.
    expects_continue: whether the client waits for a 100 before it sends the body.
    """

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keeps_alive: bool
    expects_continue: bool


class _Fields:
    """What llhttp finds; it calls these methods."""

    __slots__ = ("found", "is_complete")

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def read_head(sent: bytes) -> Head:
    r"""The head; `Malformed` where it is none.

    sent: to the end of the first empty line.

    >>> read_head(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").headers
    [(b'host', b'h')]
    """
    line = _LINE.match(sent)
    if line is None:
        raise Malformed("the request line")
    method, target, version = line.groups()
    headers = _fields(sent, line.end())
    names = [name for name, _ in headers]
    is_latest = version == b"HTTP/1.1"
    hosts = names.count(b"host")
    if hosts > 1 or (is_latest and not hosts):
        raise Malformed("the host")
    length: int | None = 0
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if codings != [b"chunked"] or not is_latest:  # llhttp takes some others for a body that goes on to the end
            raise Malformed("the transfer encoding")
        length = None
    elif b"content-length" in names:
        digits = headers[names.index(b"content-length")][1]  # one field, of digits alone: llhttp has seen to that
        if len(digits) > _LARGEST_LENGTH:
            raise Malformed("the length of the body")
        length = int(digits)
    return Head(
        method=method.decode(),
        target=target,
        version=version[5:].decode(),
        headers=headers,
        length=length,
        keeps_alive=is_latest and b"close" not in _options(headers, names, b"connection"),
        expects_continue=is_latest and b"100-continue" in _options(headers, names, b"expect"),
    )


def _fields(sent: bytes, begin: int) -> list[tuple[bytes, bytes]]:
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    # A body framed in two ways is read in chunks, and refused where the refusal is logged: `serving.observed`.
    parser.set_dangerous_leniencies(lenient_chunked_length=True)
    try:
        parser.feed_data(_ANY_LINE + sent[begin:])
    except httptools.HttpParserUpgrade:
        pass  # it offers another protocol, which we may ignore (RFC 9110, section 7.8). Java does so at first
    except httptools.HttpParserError as error:
        raise Malformed(str(error)) from None
    if not fields.is_complete:
        raise Malformed("the end of the head")
    return fields.found


def _options(headers: list[tuple[bytes, bytes]], names: list[bytes], wanted: bytes) -> list[bytes]:
    if wanted not in names:
        return []
    options = b",".join(value for name, value in headers if name == wanted).lower().split(b",")
    return [option.strip(b" \t") for option in options]
