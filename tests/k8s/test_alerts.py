"""The alerts ask for what servers really tell, and each has a page that says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.known_metrics import BESIDE_US, NAME, OF_THE_TARGET, labels_by_name, told_by_a_server

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "k8s" / "monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for file in sorted(MONITORING.glob("*-alerts.yaml"))
    for group in yaml.safe_load(file.read_text())["spec"]["groups"]
    for rule in group["rules"]
]
_MATCHERS = re.compile(r'([a-z_]+)(=~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|on|ignoring) \(([a-z_, ]+)\)")
_CHOSEN = {"outcome", "reason", "stage"}  # labels whose values the program names, one by one


def test_every_alert_asks_for_what_a_real_server_tells(tmp_path: Path) -> None:
    told = told_by_a_server(tmp_path)
    assert len(told) > 30
    for rule in RULES:
        names = set(NAME.findall(rule["expr"]))
        assert names <= told | BESIDE_US.keys(), rule["alert"]
        assert names or "up{" in rule["expr"], rule["alert"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_chooses_by_labels_and_values_that_there_are(rule: dict[str, Any]) -> None:
    known = labels_by_name()
    there = OF_THE_TARGET.union(*(known[name] for name in NAME.findall(rule["expr"])))
    grouped = {label.strip() for labels in _GROUPED.findall(rule["expr"]) for label in labels.split(",")}
    assert grouped | {label for label, _, _ in _MATCHERS.findall(rule["expr"])} <= there
    program = "\n".join(file.read_text() for file in (ROOT / "serving").rglob("*.py"))
    for label, _, values in _MATCHERS.findall(rule["expr"]):
        if label in _CHOSEN:
            assert [value for value in values.split("|") if f'"{value}"' not in program] == []
    # what the message names must be among what is left of the labels after grouping
    kept = grouped if " by (" in rule["expr"] else there
    texts = " ".join(str(text) for text in rule["annotations"].values())
    assert set(re.findall(r"\$labels\.([a-z_]+)", texts)) <= kept


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_and_a_section_of_the_runbooks(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor == rule["alert"].lower()
    assert headings.count(rule["alert"]) == 1
    section = (ROOT / file).read_text().partition(f"### {rule['alert']}\n")[2].partition("\n###")[0]
    assert all(word in section for word in ("**Means**", "**Look**", "**Mend**"))


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in RULES)


def test_every_alert_file_is_brought_by_the_component() -> None:
    component = yaml.safe_load((MONITORING / "kustomization.yaml").read_text())
    files = sorted(file.name for file in MONITORING.glob("*.yaml") if file.name != "kustomization.yaml")
    assert sorted(component["resources"]) == files


def test_the_monitor_names_the_job_that_alerts_ask_for() -> None:
    monitor = yaml.safe_load((MONITORING / "serving-monitor.yaml").read_text())
    jobs = {relabeling["replacement"] for each in monitor["spec"]["endpoints"] for relabeling in each["relabelings"]}
    asked = {value for rule in RULES for label, _, value in _MATCHERS.findall(rule["expr"]) if label == "job"}
    assert asked == jobs
