"""The address of a server, taken before anything else is done."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from serving.config import ServingConfig


@contextmanager
def bound(config: ServingConfig, *, shared: bool = False) -> Iterator[socket.socket]:
    """A socket that has the address, and does not listen yet.

    shared: with others that share it too (SO_REUSEPORT): the kernel gives each connection to one that listens.

    Raises:
        OSError: somebody listens there.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is. Most replies are one write
    # (`serving.one_write`), but one that is streamed, or is more than the kernel takes at once, is several: with Nagle
    # a small one waits for the client's delayed acknowledgement of the one before it, 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            share(taken)
        taken.bind((config.host, config.port))
        yield taken


def share(taken: socket.socket) -> None:
    """Let others of this user listen at its address who share it too."""
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
