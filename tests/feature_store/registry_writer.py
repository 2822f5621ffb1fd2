"""A program that the tests run, and kill, in a process of its own: it writes in a registry.

It reads one job a line (JSON), forks a process that does it, says that process's id, and, when it has ended,
how: 0 when it was done, -9 when it was killed. The fork saves each job the second that imports take.

    {"job": "publish_endlessly", "folder": ..., "key": ..., "first": 7}      publish and promote draft 7, 8, 9, ...
    {"job": "publish", "folder": ..., "key": ..., "seeds": [..], "stop": n}  publish and promote these drafts
    {"job": "create_key", "folder": ..., "stop": n}                          make the signing key of folder/key.pem

    {"job": "collect", "folder": ..., "key": ..., "stop": n}                 keep 1, and remove the others

A folder may be the URL of a registry in an object store. `stop` kills the process right before the n-th thing it does
to the file system, or the n-th request to the store; 0 never does.
"""

import json
import os
import signal
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from feature_store.registry_collection import Rules
from feature_store.signing import SigningKey
from tests.feature_store.drafts import a_draft, registry_of

# What Python tells an audit hook of, one name for each thing that can be done to a file; fsync it does not tell of.
_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "shutil.rmtree"}
_REQUESTS = {"socket.connect"}  # the store of the tests takes one request a connection


def publish(folder: str, key: SigningKey, seeds: Iterable[int]) -> None:
    registry = registry_of(folder if "://" in folder else Path(folder), key)
    for seed in seeds:
        manifest = registry.publish(a_draft(seed), key)
        registry.promote(manifest.checkpoint_id)


def stop_before(step: int, place: str) -> None:
    """Kill this process right before its step-th operation on files, or request to a store, from now on."""
    sync, steps = os.fsync, count(1)
    counted = _REQUESTS if "://" in place else _STEPS

    def take_step() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_sync(fd: Any) -> None:
        if counted is _STEPS:
            take_step()
        sync(fd)

    def hear(event: str, _: tuple[object, ...]) -> None:
        if event in counted:
            take_step()

    os.fsync = counted_sync
    sys.addaudithook(hear)


def do(job: dict[str, Any]) -> None:
    folder = job["folder"]
    if job["job"] == "create_key":
        stop_before(job["stop"], folder)
        SigningKey.load_or_create(Path(folder) / "key.pem")
        return
    key = SigningKey.load(Path(job["key"]))
    if job["job"] == "publish_endlessly":
        publish(folder, key, count(job["first"]))
    elif job["job"] == "collect":
        stop_before(job["stop"], folder)
        registry_of(folder, key).collect(Rules(keep=1, grace=0.0), dry_run=False)
    else:
        stop_before(job["stop"], folder)
        publish(folder, key, job["seeds"])


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            do(json.loads(line))
            os._exit(0)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
