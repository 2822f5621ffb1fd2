"""What alerts and dashboards ask Prometheus: whether it would understand it."""

import json
import re
from collections.abc import Iterator

import promql_parser  # type: ignore[import-not-found, unused-ignore] # of the tool environment alone

from k8s.policies.finding import Objects, subject
from k8s.tools.rendering import K8S

_VARIABLE = re.compile(r"\[\$__rate_interval\]")  # Grafana fills it in


def faults_of_alerts(objects: Objects) -> Iterator[str]:
    """Expressions of PrometheusRules that are no PromQL."""
    for rules in objects.of_kind("PrometheusRule"):
        for group in rules["spec"]["groups"]:
            for rule in group["rules"]:
                yield from _faults(f"{subject(rules)}: {rule.get('alert', rule.get('record'))}", rule["expr"])


def faults_of_dashboards() -> Iterator[str]:
    """Expressions of dashboards that are no PromQL."""
    for file in sorted((K8S / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield from _faults(f"{file.name}: {panel['title']}", _VARIABLE.sub("[5m]", target["expr"]))


def _faults(where: str, expression: str) -> Iterator[str]:
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        yield f"{where}: {error}: {expression}"
