"""A store that speaks S3 over HTTP (moto's) in a process of its own, on a free port of this machine.

It answers one request at a time: moto looks for an object and then puts it, with nothing between two requests that do
the same, so with threads two writers could both be told that there was nothing yet. S3 promises that they are not.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.redis_server import free_port

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds; it starts in two on an idle machine
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


class S3Server:
    """One store, empty when it starts; `kill` and `start` bring an empty one to the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which s3fs finds it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        """Run it, and return when it answers."""
        command = [sys.executable, "-m", "tests.s3_server", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **CREDENTIALS}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(ConnectionError):
                self.ask("GET", "/")
                return
            time.sleep(0.05)
        raise RuntimeError("the S3 server did not start")

    def make_bucket(self, name: str) -> None:
        status = self.ask("PUT", f"/{name}")
        if status != 200:
            raise RuntimeError(f"the bucket {name} was not made: {status}")

    def ask(self, method: str, path: str) -> int:
        """The status of one plain request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body=b"")
            return connection.getresponse().status

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def running_s3() -> Iterator[S3Server]:
    """A store for the length of the block."""
    server = S3Server()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - slow
    from werkzeug.serving import make_server  # noqa: PLC0415 - slow

    make_server("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=False).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
