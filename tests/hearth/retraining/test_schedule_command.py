"""`hearth retrain --schedule` as a process: what was missed is tried at once, a failure ends nothing, SIGTERM does."""

import re
import signal
from pathlib import Path

from hearth.retraining.reports import write_report
from tests.hearth.command import PATIENCE, Command
from tests.hearth.retraining.records import a_retraining


def test_a_missed_retraining_is_tried_its_failure_is_said_and_sigterm_ends_the_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "federation"
    write_report(folder / "reports", a_retraining())  # of a time long ago
    schedule = ("--schedule", "0 3 4 2 *", "--time-zone", "Europe/Vienna")
    with Command(tmp_path).started("retrain", "--folder", folder, *schedule) as process:
        assert process.stderr is not None
        said = [process.stderr.readline().decode() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        stdout, rest = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert stdout == b""
    assert said[0] == "the next retraining is due on 2026-02-04 at 03:00 CET\n"  # it was, the day after the report
    assert said[1].startswith("error: there is no federation in")
    assert re.fullmatch(r"the next retraining is due on 2\d{3}-02-04 at 03:00 CET\n", said[2])
    # Where the signal comes in the midst of writing the line before, that is written to its end first, perhaps again.
    assert rest.decode().splitlines(keepends=True)[-1] == "ended\n"
