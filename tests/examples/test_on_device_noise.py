"""The example of a device, where a server ranks: one noised vector is sent, and sent again."""

import os
import re
import subprocess
import sys
from pathlib import Path

PATIENCE = 120.0  # seconds; four on an idle machine


def test_the_same_noised_vector_is_sent_twice_and_nothing_of_it_stays_after_the_erasure(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "on_device.py"
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(example), "files"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")} | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "asked for twice: the same vector; ε spent so far: 8\n" in ended.stdout
    assert '"noise": {"mechanism": "subset-selection", "epsilon": 8.0}' in ended.stdout
    assert re.search(r"\d+ of its first 20 would be of the sea", ended.stdout)
    assert not (tmp_path / "files" / "noised.sealed").exists()
