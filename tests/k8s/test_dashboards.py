"""The dashboards ask for nothing that nobody tells."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.known_metrics import NAME, OF_THE_TARGET, labels_by_name

DASHBOARDS = sorted((Path(__file__).parents[2] / "k8s" / "dashboards").glob("*.json"))
_LABELS = re.compile(r"\b(?:by \(([a-z_, ]+)\)|([a-z_]+)=~?\")")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_asks_for_metrics_and_labels_that_there_are(file: Path) -> None:
    dashboard: dict[str, Any] = json.loads(file.read_text())
    known = labels_by_name()
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 8
    for expression in expressions:
        names = set(NAME.findall(expression))
        assert names, expression
        assert names <= known.keys(), expression
        labels = {label.strip() for by, one in _LABELS.findall(expression) for label in (by or one).split(",")}
        assert labels <= OF_THE_TARGET.union(*(known[name] for name in names)), expression
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] for panel in dashboard["panels"])


def test_every_dashboard_is_brought_by_the_component() -> None:
    component = (DASHBOARDS[0].parent / "kustomization.yaml").read_text()
    assert re.findall(r"files: \[(.*)\]", component) == [file.name for file in DASHBOARDS]
