"""The log of rounds: whatever a stopped process leaves, what was written whole is read, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from training.evaluation import Quality
from training.loop import RoundReport
from training.run_log import RoundRecord, append, keep, missing_rounds

QUALITY = Quality(recall=0.25, ndcg=0.125, hr_10=0.5, coverage=0.75, users=8)


def record(number: int, quality: Quality | None = QUALITY) -> RoundRecord:
    report = RoundReport(number, 20, 1.5 / number, quality and quality.ndcg, 0.5, 4_000, converged=False)
    return RoundRecord.of(report, quality, datetime(2026, 1, 2, 3, 4, number, 250, tzinfo=UTC))


def written(path: Path, *numbers: int) -> Path:
    for number in numbers:
        append(path, record(number))
    return path


def test_a_record_is_what_the_report_and_the_validation_say() -> None:
    kept = record(3)
    assert (kept.round_number, kept.cohort, kept.loss, kept.seconds) == (3, 20, 0.5, 0.5)
    assert (kept.ndcg, kept.recall, kept.uplink_bytes_per_client) == (0.125, 0.25, 4_000)
    assert kept.clients_per_second == 40
    assert (record(3, None).ndcg, record(3, None).recall) == (None, None)


def test_what_was_appended_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 1, 2, 3)
    assert keep(path, 3) == (record(1), record(2), record(3))
    append(path, record(4))
    assert keep(path, 4) == tuple(map(record, (1, 2, 3, 4)))


def test_a_round_whose_state_was_not_saved_is_dropped_from_the_file_too(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 1, 2, 3)
    assert keep(path, 2) == (record(1), record(2))
    assert len(path.read_bytes().splitlines()) == 2


def test_of_a_half_written_line_nothing_is_believed_and_the_next_round_is_not_glued_to_it(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:37])
    assert keep(path, 2) == (record(1), record(2))
    append(path, record(3))
    assert keep(path, 3) == (record(1), record(2), record(3))


def test_a_new_run_starts_without_the_log_of_another(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 1, 2)
    assert keep(path, 0) == ()
    assert list(tmp_path.iterdir()) == []


def test_rounds_that_are_not_on_record_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 1, 4)
    assert missing_rounds(keep(path, 5), 5) == [2, 3, 5]


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent/log"):
        append(tmp_path / "absent" / "log", record(1))


def test_a_loss_that_is_no_number_is_not_put_on_record() -> None:
    with pytest.raises(ValidationError, match="loss"):
        RoundRecord.of(RoundReport(1, 1, float("nan"), None, 1.0, 1, converged=False), None, datetime.now(UTC))
