"""The id of a request: the trace id of a W3C traceparent where the client sends a valid one, else a new one."""

import re
import secrets
from collections.abc import Iterable

# Version, trace id, parent id, flags; later versions may go on after the flags (Trace Context, section 3.2).
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """32 hex digits.

    >>> request_id([(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")])
    '4bf92f3577b34da6a3ce929d0e0e4736'
    >>> len(request_id([]))
    32
    """
    sent = [value for name, value in headers if name == b"traceparent"]
    if len(sent) == 1:
        found = _TRACEPARENT.fullmatch(sent[0])
        if found is not None and (found[1] != b"00" or found[3] is None):
            return found[2].decode()
    return secrets.token_hex(16)
