"""A server in a process of its own, watched from outside: what its log says and when, and how much memory it holds."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from feature_store.errors import HearthError
from serving.config import ServingConfig

_PATIENCE = 600.0  # seconds for a line of the log: a sweep over everybody takes its time
_LOOK = 0.05  # seconds between two looks at the log
_SAMPLE = 0.02  # seconds between two samples of memory
_DIRECTLY = build_opener(ProxyHandler({}))  # the server is on this machine, whatever proxy the environment names
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ServerFailed(HearthError):
    """The server ended, or did not do what it was asked to; the message has the end of its log."""


class Served:
    """A running server.

    Raises:
        ServerFailed: it does not listen.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log
        self.address = str(self._logged(0, "listening")[1]["address"])

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def log_size(self) -> int:
        """Bytes of the log: from there on lies what comes after this moment."""
        return self._log.stat().st_size

    def logged(self, since: int, message: str, **fields: object) -> float:
        """When the first line with that message and those fields was written, in seconds of `time.monotonic`.

        since: bytes of the log that are not looked at.

        Raises:
            ServerFailed: no such line comes.
        """
        return self._logged(since, message, **fields)[0]

    def said(self, since: int, message: str, **fields: object) -> dict[str, Any]:
        """That line itself."""
        return self._logged(since, message, **fields)[1]

    def post(self, path: str, body: object) -> Any:
        """The reply to a request that has to succeed; raises `ServerFailed`."""
        content = json.dumps(body).encode()
        asked = Request(f"{self.address}{path}", content, {"content-type": "application/json"})  # noqa: S310 - our server
        try:
            with _DIRECTLY.open(asked, timeout=_PATIENCE) as reply:
                return json.load(reply)
        except URLError as error:
            raise ServerFailed(f"POST {path}: {error}; {self._end_of_log()}") from error

    def megabytes(self) -> float:
        """Memory that the process holds now (resident set size, 10^6 bytes); 0 where there is no /proc."""
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE / 1e6
        except OSError:
            return 0.0

    @contextmanager
    def highest_memory(self) -> Iterator[list[float]]:
        """A list that holds, after the block, the samples of memory taken in it, in 10^6 bytes."""
        samples, ended = [self.megabytes()], threading.Event()

        def sample() -> None:
            while not ended.wait(_SAMPLE):
                samples.append(self.megabytes())

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield samples
        finally:
            ended.set()
            thread.join()

    def stop(self) -> None:
        """Tell it to stop; raises `ServerFailed` where it does not end well."""
        self._process.terminate()
        if self._process.wait(_PATIENCE):
            raise ServerFailed(f"the server ended with status {self._process.returncode}: {self._end_of_log()}")

    def _logged(self, since: int, message: str, **fields: object) -> tuple[float, dict[str, Any]]:
        deadline, wanted = time.monotonic() + _PATIENCE, json.dumps(message).encode()
        while time.monotonic() < deadline and self._process.poll() is None:
            with self._log.open("rb") as log:
                log.seek(since)
                whole = log.read().rpartition(b"\n")[0]
            since += len(whole)  # each line is looked at once: the cores are the server's
            for line in (json.loads(line) for line in whole.splitlines() if wanted in line and line.startswith(b"{")):
                if line["message"] == message and fields.items() <= line.items():
                    wall = datetime.fromisoformat(line["time"]).timestamp()
                    return wall - time.time() + time.monotonic(), line
            time.sleep(_LOOK)
        raise ServerFailed(f"the server did not say {message!r} of {fields}: {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return self._log.read_text()[-2000:]


@contextmanager
def served(config: ServingConfig, folder: Path) -> Iterator[Served]:
    """A server that listens; it is gone after the block whatever happens."""
    file, log = folder / "serving.json", folder / f"serving-{time.monotonic_ns()}.log"
    file.write_text(config.model_dump_json())
    environment = {"OPENBLAS_THREAD_TIMEOUT": "4", **os.environ}  # as the command `hearth` has it
    command = [sys.executable, "-m", "serving", str(file)]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=written) as process,  # noqa: S603 - our server
    ):
        try:
            yield Served(process, log)
        finally:
            process.kill()
