"""This machine's loopback: ports that nobody listens on, and the way to them past any proxy."""

import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """So many different ones. Another process may take one before it is used; whoever was to listen there then ends."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind((LOOPBACK, 0))
        return [int(taken.getsockname()[1]) for taken in sockets]


def reach_loopback_directly() -> None:
    """Let this process, and what it starts, ask no proxy for the way to this machine, whatever the environment says."""
    for name in ("no_proxy", "NO_PROXY"):
        named = [place for place in os.environ.get(name, "").split(",") if place]
        os.environ[name] = ",".join(dict.fromkeys([*named, LOOPBACK, "localhost"]))


def listens(port: int, authority: Path) -> bool:
    """Whether somebody on that port speaks TLS with a certificate that the authority has signed."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=2.0) as plain,
            context.wrap_socket(plain, server_hostname=LOOPBACK),
        ):
            return True
    except OSError:
        return False
