"""The report that `hearth train` leaves: of the run it was, whole or not at all, never at the cost of a checkpoint."""

import signal
from collections.abc import Callable
from pathlib import Path

from hearth.report.record import RECORD, read_record
from tests.hearth.command import Ended
from tests.hearth.conftest import Trained
from tests.hearth.killed_command import killed_before
from tests.hearth.report.records import Page

SHORT = ("--rounds", "3", "--patience", "0", "--dim", "4", "--cohort", "20", "--json")
# A disk with room for the checkpoint and not for the report: no file may grow beyond this many bytes.
FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
from hearth.cli import main
main()
"""


def test_the_report_of_a_training_has_the_figures_of_that_training(trained: Trained) -> None:
    outcome = trained.ended.json()
    folder = trained.registry / "runs" / trained.checkpoint_id
    assert outcome["report"] == str(folder / "report.html")
    assert {path.name for path in folder.iterdir()} == {"report.html", "run.json", "tensorboard"}
    record = read_record(folder / RECORD)
    assert [x.round_number for x in record.rounds] == list(range(1, 26))
    assert dict(record.metrics) == outcome["valid"]
    assert record.rounds[outcome["published_round"] - 1].ndcg == outcome["valid"]["ndcg@20"]
    assert record.rounds[outcome["published_round"] - 1].recall == outcome["valid"]["recall@20"]
    assert record.seconds == outcome["training_seconds"]
    assert record.groups is not None
    assert sum(group.people for group in record.groups.people) == outcome["valid"]["users"]
    assert (record.statistics.people, record.statistics.items) == (60, 40)
    assert record.training_settings["dim"] == 8

    shown = Page((folder / "report.html").read_bytes())
    (rounds,) = (rows for caption, rows in shown.tables.items() if caption.startswith("Each round"))
    assert [row[2:4] for row in rounds[1:]] == [[f"{x.loss:.4f}", f"{x.ndcg:.4f}"] for x in record.rounds]
    (published,) = [row for row in rounds if row[0].endswith("(published)")]
    assert published[0] == f"{outcome['published_round']} (published)"
    assert f"{outcome['valid']['ndcg@20']:.4f}" in shown.texts("b")
    (events,) = (folder / "tensorboard").iterdir()
    assert events.read_bytes().count(b"ndcg@20/validation") == 25


def test_a_report_that_finds_no_room_leaves_the_checkpoint_published_and_promoted(
    trained: Trained, tmp_path: Path
) -> None:
    arguments = ("train", "--interactions", trained.world, "--registry", tmp_path, *SHORT, "--promote")
    ended = trained.command.run(*arguments, python=("-c", FULL_DISK))
    outcome = ended.json()
    assert outcome["report"] is None
    assert "File too large" in outcome["report_fault"]
    assert trained.command.registry(tmp_path).production() == outcome["checkpoint_id"]
    assert list((tmp_path / "runs").iterdir()) == []
    assert [path.name for path in (tmp_path / "training").iterdir()] == ["lock"]


def test_killed_before_its_report_is_there_the_next_session_writes_it_with_all_rounds(
    trained: Trained, hearth: Callable[..., Ended], registry_copy: Path
) -> None:
    """In the place of whatever is there, and beside the run before: a checkpoint is not its own parent."""
    command, runs = trained.command, registry_copy / "runs"
    arguments = ("train", "--interactions", trained.world, "--registry", registry_copy, *SHORT)
    killed = hearth(*arguments, python=killed_before("os.rename", r"/runs/\."))
    assert killed.status == -signal.SIGKILL
    (second,) = set(command.registry(registry_copy).checkpoint_ids()) - {trained.checkpoint_id}
    assert not (runs / second).exists()
    assert len(list(runs.glob(".*"))) == 1
    (runs / second).mkdir()
    (runs / second / "report.html").write_text("an older one")

    outcome = hearth(*arguments).json()
    assert (outcome["checkpoint_id"], outcome["resumed_at"]) == (second, 3)
    assert {path.name for path in runs.iterdir()} == {trained.checkpoint_id, second}
    record = read_record(runs / second / RECORD)
    assert [x.round_number for x in record.rounds] == [1, 2, 3]
    assert record.parent_id == trained.checkpoint_id
    shown = Page(Path(outcome["report"]).read_bytes())
    assert shown.tables["What differs"][1:] == [["dim", "4", "8"], ["rounds", "3", "25"]]
