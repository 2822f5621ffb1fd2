"""The question whether a trainer is there, as a process that a container is asked by."""

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvicorn

from training.federation.trainer import TrainerApp, listening_socket

PROBE = (sys.executable, "-m", "training.federation.trainer_socket")


def asked(*arguments: str) -> int:
    return subprocess.run([*PROBE, *arguments], check=False, capture_output=True, timeout=60).returncode


def test_it_ends_with_0_where_a_trainer_answers_and_with_1_where_none_does() -> None:
    async def answer(task: bytes) -> bytes:
        return task

    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        path = Path(folder) / "sock"
        assert asked(str(path)) == 1
        assert asked() == 1
        config = uvicorn.Config(TrainerApp(answer), lifespan="off", log_level="warning", ws="none")
        server = uvicorn.Server(config)
        listening = listening_socket(path)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            assert asked(str(path)) == 0
        finally:
            server.should_exit = True
            thread.join()
            listening.close()
        assert asked(str(path)) == 1
