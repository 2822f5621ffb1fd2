"""The id of a request: the trace id of a W3C traceparent where the client sends a valid one, else a new one."""

import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

# Version, trace id, parent id, flags; later versions may go on after the flags (Trace Context, section 3.2).
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1  # the bit of the flags that says: the sender records this trace


class Sender(NamedTuple):
    """What a traceparent says of who sends the request.

    trace_id: 32 hex digits.
    span_id: 16 hex digits, of what the sender was at.
    records: whether the sender records this trace.
    """

    trace_id: str
    span_id: str
    records: bool


def sender_of(headers: Iterable[tuple[bytes, bytes]]) -> Sender | None:
    """The sender, as the one valid traceparent names it; None where there is none.

    >>> sender_of([(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")])
    Sender(trace_id='4bf92f3577b34da6a3ce929d0e0e4736', span_id='00f067aa0ba902b7', records=True)
    """
    sent = [value for name, value in headers if name == b"traceparent"]
    if len(sent) == 1:
        found = _TRACEPARENT.fullmatch(sent[0])
        if found is not None and (found[1] != b"00" or found[5] is None):
            return Sender(found[2].decode(), found[3].decode(), bool(int(found[4], 16) & _SAMPLED))
    return None


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """32 hex digits.

    >>> request_id([(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")])
    '4bf92f3577b34da6a3ce929d0e0e4736'
    >>> len(request_id([]))
    32
    """
    sender = sender_of(headers)
    return secrets.token_hex(16) if sender is None else sender.trace_id
