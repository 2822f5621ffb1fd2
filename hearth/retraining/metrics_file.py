"""Metrics of the last retraining, as a text file that the node exporter of Prometheus collects.

A failure leaves the time of the last success as it stands in the file.
"""

from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from hearth.retraining.record import Decision, RetrainingRecord

LAST_SUCCESS = "hearth_retrain_last_success_timestamp_seconds"


def write_metrics(file: Path, record: RetrainingRecord) -> None:
    """Put the metrics of that retraining in the place of the file, whole or not at all."""
    registry = CollectorRegistry()

    def gauge(name: str, told: str, value: float) -> None:
        Gauge(name, told, registry=registry).set(value)

    is_success = record.decision != "failed"
    success = record.ended.timestamp() if is_success else last_success(file)
    gauge(LAST_SUCCESS, "When a retraining last came to a decision.", success)
    gauge("hearth_retrain_last_end_timestamp_seconds", "When one last ended.", record.ended.timestamp())
    gauge("hearth_retrain_duration_seconds", "How long the last one took.", record.seconds)
    gauge("hearth_retrain_cells", "Cells that took part in the last one.", len(record.cells))
    gauge("hearth_retrain_missed_answers", "Answers that cells did not give in the last one.", len(record.missed))
    gauge("hearth_retrain_new_events", "Items that people met since production's training.", record.new_items)
    gauge("hearth_retrain_downlink_bytes", "Sent to cells by the last one.", record.downlink_bytes)
    gauge("hearth_retrain_uplink_bytes", "Received from cells by the last one.", record.uplink_bytes)
    decided = Gauge("hearth_retrain_decision", "1 for what became of the last one.", ["decision"], registry=registry)
    for decision in get_args(Decision):
        decided.labels(decision).set(decision == record.decision)
    told = "Quality that the last one's gate saw."
    quality = Gauge("hearth_retrain_quality", told, ["model", "metric"], registry=registry)
    for model, figures in record.figures.items():
        for metric, value in figures.items():
            quality.labels(model, metric).set(value)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)


def last_success(file: Path) -> float:
    """When the file says that one last came to a decision, in seconds since 1970; 0 where it says nothing."""
    try:
        families = list(text_string_to_metric_families(file.read_text()))
    except (FileNotFoundError, ValueError):
        return 0.0
    return next((sample.value for family in families for sample in family.samples if sample.name == LAST_SUCCESS), 0.0)
