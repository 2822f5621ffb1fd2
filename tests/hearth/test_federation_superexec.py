"""The superexec's ClientApps: forks, of a process that has imported Flower, that do what Flower's command does."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flwr.supercore.constant import TaskType
from flwr.supercore.superexec.executor import ExecutionSpec

from hearth.federation.superexec import words_of

SPEC = ExecutionSpec(
    task_type=TaskType.CLIENT_APP,
    runtime_api_address="127.0.0.1:9094",
    token="a-token",
    insecure=False,
    root_certificates_path="/run/authority.pem",
    runtime_dependency_install=False,
    parent_pid=17,
    suppress_output=False,
    task_id=1,
)
PROGRAM = """
import os, sys
from dataclasses import replace
from flwr.supercore.constant import ExecutorType, TaskType
from flwr.supercore.superexec.executor import ExecutionSpec, get_executor
from hearth.federation.superexec import keep_client_apps_ready

if __name__ == "__main__":
    keep_client_apps_ready()
    executor = get_executor(ExecutorType.SUBPROCESS)
    spec = ExecutionSpec(TaskType.CLIENT_APP, sys.argv[1], "first", True, None, False, os.getpid(), False, 1)
    for line in sys.stdin:
        word, token = line.split()
        executor.launch(replace(spec, token=token, task_type=TaskType(word)))
"""


def test_a_fork_is_told_what_the_command_of_flower_would_be(tmp_path: Path) -> None:
    specs = [
        SPEC,
        replace(SPEC, token="two", insecure=True),
        replace(SPEC, token="three", root_certificates_path=None, parent_pid=None),
        replace(SPEC, token="four", runtime_dependency_install=True),
    ]
    writes_its_words(tmp_path / "flwr-clientapp")
    flowers = (
        "import os, sys\n"
        "from flwr.supercore.constant import TaskType\n"
        "from flwr.supercore.superexec.executor import ExecutionSpec, SubprocessExecutor\n"
        f"for spec in {[{**asdict(spec), 'task_type': spec.task_type.value} for spec in specs]}:\n"
        "    SubprocessExecutor().launch(ExecutionSpec(**{**spec, 'task_type': TaskType(spec['task_type'])}))\n"
        "    os.wait()\n"
    )
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FLWR_TELEMETRY_ENABLED": "0"}
    subprocess.run([sys.executable, "-c", flowers], env=environment, check=True, timeout=60)
    for spec in specs:
        assert (tmp_path / spec.token).read_text().splitlines() == words_of(spec)


def test_client_apps_are_forks_of_one_process_and_other_tasks_are_flowers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    writes_its_words(tmp_path / "flwr-serverapp")
    with asked_of() as (address, asked):
        running = subprocess.Popen(
            [sys.executable, str(program), address],
            cwd=tmp_path,
            env={
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "FLWR_HOME": str(tmp_path),
                "FLWR_TELEMETRY_ENABLED": "0",
            },
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert running.stdin is not None
        try:
            for token in ("one", "two"):
                running.stdin.write(f"flwr-clientapp {token}\n")
                running.stdin.flush()
                until(partial(asked.__contains__, token))
            running.stdin.write("flwr-serverapp three\n")
            running.stdin.flush()
            until((tmp_path / "three").exists)
        finally:
            running.stdin.close()
            assert running.wait(60) == 0
    assert "multiprocessing.forkserver" in asked["one"]
    assert asked["two"] == asked["one"]
    assert "three" not in asked


@contextmanager
def asked_of() -> Iterator[tuple[str, dict[str, str]]]:
    """A Runtime API that has nothing: its address, and by token the command of whoever asks it."""
    asked = dict[str, str]()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.setdefault(self.headers["flwr-task-token"], command_at(self.client_address[1]))
            self.send_error(400)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command_at(port: int) -> str:
    """The command of the process that has a connection from that port of the loopback."""
    (inode,) = [
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if line.split()[1].endswith(f":{port:04X}") and line.split()[9] != "0"
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(each.readlink().name == f"socket:[{inode}]" for each in (process / "fd").iterdir()):
                return (process / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has ended, or is somebody else's
            continue
    return "of nobody"


def writes_its_words(command: Path) -> None:
    """Make a command that writes its words beside itself, into a file of its token's name."""
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" > {command.parent}/$4\n')
    command.chmod(0o755)


def until(is_so: Callable[[], bool]) -> None:
    """Wait, for a minute at the most."""
    last = time.monotonic() + 60
    while not is_so() and time.monotonic() < last:
        time.sleep(0.02)
    assert is_so()
