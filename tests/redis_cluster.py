"""A real Redis Cluster of three servers on this machine."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.redis_server import PATIENCE, RedisServer, free_port

_SLOTS = 16384


@contextlib.contextmanager
def running_cluster(folder: Path, *options: str, masters: int = 3) -> Iterator[list[RedisServer]]:
    """Servers that share the slots among them, for the length of the block; each answers for all."""
    servers: list[RedisServer] = []
    buses = [free_port() for _ in range(masters)]
    try:
        for number in range(masters):
            (folder / str(number)).mkdir()
            # The bus of a cluster is at the port + 10000 unless we name another, and there may be none that high.
            bus = ("--cluster-port", str(buses[number]), "--cluster-node-timeout", "2000")
            servers.append(RedisServer(folder / str(number), "--cluster-enabled", "yes", *bus, *options))
        for number, server in enumerate(servers):
            with server.client() as client:
                first, beyond = _SLOTS * number // masters, _SLOTS * (number + 1) // masters
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, beyond))
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port, buses[0])
        deadline = time.monotonic() + PATIENCE
        while not all(_is_whole(server, masters) for server in servers):
            if time.monotonic() > deadline:
                raise RuntimeError("the servers did not become a cluster")
            time.sleep(0.05)
        yield servers
    finally:
        for server in servers:
            server.stop()


def _is_whole(server: RedisServer, masters: int) -> bool:
    with server.client() as client:
        found = client.execute_command("CLUSTER INFO")
    return found["cluster_state"] == "ok" and int(found["cluster_known_nodes"]) == masters
