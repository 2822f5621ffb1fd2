"""The log of several processes in one pipe: each line whole, and a worker's."""

import json
import os
import subprocess
import sys

from tests.serving.running import PATIENCE, ROOT

PROGRAM = """
import logging, sys
from serving.logs import log_to_stderr

def deep(levels):
    return 1 / levels if levels == 0 else deep(levels - 1)

log_to_stderr(int(sys.argv[1]))
log = logging.getLogger("serving.test")
for number in range(1500):
    log.info("long", extra={"fields": {"number": number, "text": "y" * (number * 37 % 30_000)}})
try:
    deep(200)
except ZeroDivisionError:
    log.exception("deep")
"""


def test_lines_of_several_workers_come_whole_out_of_a_pipe_and_the_longest_are_cut() -> None:
    out, into = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(worker)], cwd=ROOT, stderr=into) for worker in range(2)
    ]
    os.close(into)
    with os.fdopen(out, "rb") as read:
        lines = [json.loads(line) for line in read]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    for worker in range(2):
        own = [line for line in lines if line["worker"] == worker]
        assert [line["number"] for line in own[:-1]] == list(range(1500))
        assert own[-1]["error"] == "ZeroDivisionError"
        assert own[-1]["at"][-1].endswith(" deep")
        for line in own[:-1]:
            whole = line["number"] * 37 % 30_000
            assert len(line["text"]) == whole or (line["text"].endswith("y...") and len(line["text"]) >= 2000)
