"""The visit over HTTP, as its page tells to run it: against a real server, and where there is none."""

import subprocess
import sys
from pathlib import Path

from tests.serving.published import Publisher, draft
from tests.serving.running import ROOT, config_of, started


def visit(address: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "examples/recommend_over_http.py", address]
    return subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_was_looked_at_is_gone_from_the_next_list(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path) as server:
        server.serves(model_id)
        ended = visit(str(server.client.base_url))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("What was seen is gone, and what follows is personal.\n")
    assert ended.stdout.count(" popular\n") == 5


def test_where_nobody_answers_it_says_so() -> None:
    ended = visit("http://127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr == "http://127.0.0.1:1 did not answer: ConnectError\n"
