"""Up, where something of a federation cannot start: said at once, with the reason, and nothing is left running."""

import tempfile
from pathlib import Path

import pytest

from hearth.federation.child import processes_of
from hearth.federation.layout import Layout
from tests.hearth.command import Command

pytestmark = pytest.mark.slow  # Flower's programs take ten seconds to start on a busy machine


def test_a_trainer_that_ends_at_once_is_named_with_the_end_of_its_log_and_is_not_waited_for(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        layout = Layout(Path(name) / "f")
        damaged = layout.cell("cell-2").store
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(b"no database at all" * 100)
        ended = Command(tmp_path).run("federation", "up", "--folder", layout.folder, patience=150)
        log = layout.logs / "cell-2-trainer.log"
        *before, reason = log.read_text().splitlines()[-10:]
        said = f"error: cell-2-trainer ended 3 times in a row, the last time with status 1. The end of {log}:"
        assert (ended.status, ended.stdout) == (1, "")
        assert ended.stderr.endswith("\n".join(["", said, *before, reason, ""]))
        assert "people.sqlite is damaged, or no SQLite database" in reason
        assert processes_of(layout.folder) == []
        assert not layout.status.exists()
