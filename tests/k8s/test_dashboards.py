"""The dashboards ask for nothing that servers do not tell."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from serving.metrics import create_metrics

DASHBOARDS = sorted((Path(__file__).parents[2] / "k8s" / "dashboards").glob("*.json"))
_NAME = re.compile(r"hearth_[a-z_]+")
_LABELS = re.compile(r"\b(?:by \(([a-z_, ]+)\)|([a-z_]+)=~?\")")


def samples() -> dict[str, set[str]]:
    """The names under which a server's metrics are asked for, and their labels."""
    found: dict[str, set[str]] = {}
    endings = {"counter": ("_total",), "histogram": ("_sum", "_count", "_bucket"), "gauge": ("",)}
    for metric in create_metrics().registry.collect():
        collector = metric
        for ending in endings[collector.type]:
            found[collector.name + ending] = set()
    for name, collector in create_metrics().registry._names_to_collectors.items():
        if name in found:
            found[name] = {*collector._labelnames, "le"}
    return found


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_asks_for_metrics_and_labels_that_there_are(file: Path) -> None:
    dashboard: dict[str, Any] = json.loads(file.read_text())
    known = samples()
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 10
    for expression in expressions:
        names = set(_NAME.findall(expression))
        assert names, expression
        assert names <= known.keys(), expression
        labels = {label.strip() for by, one in _LABELS.findall(expression) for label in (by or one).split(",")}
        assert labels <= set.union(*(known[name] for name in names)), expression
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] for panel in dashboard["panels"])
