"""The report of a retraining: its page shows the figures of its record, and the metrics are the record's."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feature_store.errors import BadInput
from hearth.retraining.metrics_file import last_success, write_metrics
from hearth.retraining.page import retraining_page
from hearth.retraining.record import read_retraining, record_of
from hearth.retraining.reports import last_start, newest_record, write_report
from hearth.retraining.settings import RetrainingSettings
from tests.hearth.report.records import Page
from tests.hearth.retraining.records import PRODUCTION, STARTED, a_retraining
from training.federation.centre import Retrained, RunOutcome
from training.gate import GateSettings, decide


def test_the_page_shows_both_sides_the_decision_and_why() -> None:
    page = Page(retraining_page(a_retraining()))
    tables = page.tables
    assert tables["Figures, of the same people and held-out items"] == [
        ["", "ndcg@20", "recall@20", "hr@10", "coverage@20", "users"],
        ["candidate", "0.3750", "0.2500", "0.5000", "0.7500", "512"],
        ["production", "0.3000", "0.2000", "0.4000", "0.6000", "512"],
    ]
    assert tables["What was asked of the candidate"][1:] == [
        ["people judged", "512", "100", "passes"],
        ["ndcg@20", "0.375", "0.297", "passes"],
    ]
    assert tables["What cells had no part in"][1:] == [["round 2", "cell-2", "no answer within <5> seconds"]]
    assert ["people at adoption", "people 640, folded 639, failed 1"] in tables["Who took part"]
    text = retraining_page(a_retraining()).decode()
    assert "The candidate was promoted" in text
    assert "+25.0 % beside production&#x27;s 0.3000" in text or "+25.0 % beside production's 0.3000" in text
    assert "2.5 MB" in text
    assert "neither model has seen them" in text
    assert "in the clear" in text
    assert "<5>" not in text


@pytest.mark.parametrize(
    ("decision", "title"),
    [("kept", "Production was kept"), ("skipped", "Nothing was trained"), ("failed", "The retraining failed")],
)
def test_what_came_to_nothing_has_a_page_as_well(decision: str, title: str) -> None:
    bare = a_retraining(
        decision=decision, why="it <was> so", figures={}, checks=(), rounds=(), missed=(), candidate=None, since=None
    )
    text = retraining_page(bare).decode()
    assert title in text
    assert "it &lt;was&gt; so" in text
    assert "The gate</h2>" not in text


def test_a_page_says_when_the_figures_favour_production() -> None:
    assert "that favours production" in retraining_page(a_retraining(judged_by="held out")).decode()


def test_a_report_is_read_back_and_the_newest_is_found_whatever_else_lies_there(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    assert newest_record(reports) is None
    record, later = a_retraining(), a_retraining(started=STARTED + timedelta(days=1), decision="kept")
    for one in (later, record):
        assert write_report(reports, one).name == f"{one.name}.html"
    assert read_retraining(reports / f"{record.name}.json") == record
    assert newest_record(reports) == later
    (reports / "retraining-20990101T000000-000000.json").write_text("{half")
    assert newest_record(reports) == later
    assert last_start(reports) == later.started
    with pytest.raises(BadInput, match="no record of a retraining"):
        read_retraining(reports / "retraining-20990101T000000-000000.json")


def test_the_record_has_what_the_run_came_to() -> None:
    decision = decide(GateSettings(), None, None)
    told = Retrained(production="r1", decision="kept", why=decision.why, since=1e9, new_items=7, warm=True)
    outcome = RunOutcome(
        checkpoint_id="r2", cells=("a",), clients=9, missed=(("x", "b", "late"),), retrained=told, secure_sums=True
    )
    record = record_of(outcome, RetrainingSettings(), STARTED, 5.0, ("killed",))
    assert (record.production, record.candidate, record.decision, record.why) == ("r1", "r2", "kept", decision.why)
    assert record.since is not None
    assert (record.since.timestamp(), record.new_items, record.warm, record.secure_sums) == (1e9, 7, True, True)
    assert (record.cells, record.missed, record.restarts) == (("a",), (("x", "b", "late"),), ("killed",))
    with pytest.raises(BadInput, match="was no retraining"):
        record_of(RunOutcome(checkpoint_id="r2"), RetrainingSettings(), STARTED, 5.0, ())


def samples(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_metrics_are_those_of_the_record_and_a_failure_leaves_the_last_success(tmp_path: Path) -> None:
    file, record = tmp_path / "node" / "retrain.prom", a_retraining()
    assert last_success(file) == 0
    write_metrics(file, record)
    found = samples(file)
    assert found["hearth_retrain_last_success_timestamp_seconds"] == STARTED.timestamp() + 90.5
    assert found["hearth_retrain_duration_seconds"] == 90.5
    assert [found[f"hearth_retrain_decision {d}"] for d in ("promoted", "kept", "skipped", "failed")] == [1, 0, 0, 0]
    assert found["hearth_retrain_quality ndcg@20 production"] == PRODUCTION["ndcg@20"]
    assert (found["hearth_retrain_cells"], found["hearth_retrain_missed_answers"]) == (2, 1)
    assert (found["hearth_retrain_downlink_bytes"], found["hearth_retrain_uplink_bytes"]) == (2.5e6, 12000)
    failed = a_retraining(started=STARTED + timedelta(days=1), decision="failed", figures={})
    write_metrics(file, failed)
    found = samples(file)
    assert found["hearth_retrain_last_success_timestamp_seconds"] == STARTED.timestamp() + 90.5
    assert found["hearth_retrain_last_end_timestamp_seconds"] == failed.ended.timestamp()
    assert found["hearth_retrain_decision failed"] == 1
    file.write_text("{no metrics")
    assert last_success(file) == 0
