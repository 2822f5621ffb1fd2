"""The metrics that alerts and dashboards may ask for: ours, from a real server, and those of programs beside us."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.metrics import create_metrics

NAME = re.compile(r"\b(?:hearth|kube|kubelet|container)_[a-z_]+\b")
# What Prometheus puts on each sample of a target that the operator found.
OF_THE_TARGET = frozenset({"namespace", "pod", "job", "instance"})
# Of kube-state-metrics and the kubelet: what we ask of them, and the labels it has, from their documentation.
BESIDE_US = {
    "up": frozenset[str](),
    "kube_cronjob_info": frozenset({"cronjob"}),
    "kube_cronjob_spec_suspend": frozenset({"cronjob"}),
    "kube_cronjob_status_last_successful_time": frozenset({"cronjob"}),
    "kube_job_status_active": frozenset({"job_name"}),
    "kube_job_status_completion_time": frozenset({"job_name"}),
    "kube_job_status_failed": frozenset({"job_name", "reason"}),
    "kube_job_status_start_time": frozenset({"job_name"}),
    "kube_job_status_succeeded": frozenset({"job_name"}),
    "kube_pod_container_status_restarts_total": frozenset({"container"}),
    "kube_statefulset_status_replicas_ready": frozenset({"statefulset"}),
    "kubelet_volume_stats_available_bytes": frozenset({"persistentvolumeclaim"}),
    "kubelet_volume_stats_capacity_bytes": frozenset({"persistentvolumeclaim"}),
    "container_cpu_usage_seconds_total": frozenset({"container"}),
    "container_memory_working_set_bytes": frozenset({"container"}),
}
_ENDINGS = {"counter": ("_total",), "histogram": ("_sum", "_count", "_bucket"), "gauge": ("",)}
_PATIENCE = 60.0  # seconds; it starts in two on an idle machine


def labels_by_name() -> dict[str, frozenset[str]]:
    """Under which name what is asked for, and the labels it has."""
    ours = {
        name: frozenset({*collector._labelnames, "le"})
        for name, collector in create_metrics().registry._names_to_collectors.items()
    }
    ours["hearth_trace_spans_total"] = frozenset({"outcome"})
    return {**ours, **BESIDE_US}


def told_by_a_server(folder: Path) -> set[str]:
    """The names of all series in `/metrics` of a real server, in a process of its own."""
    with _server(folder) as address:
        told = httpx.get(f"{address}/metrics", timeout=_PATIENCE).text
    types = re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE)
    # a counter's type line has its ending already
    return {
        name + ending
        for name, kind in types
        for ending in (("",) if name.endswith("_total") else _ENDINGS.get(kind, ("",)))
    }


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    key, config = folder / "key.pub", folder / "serving.json"
    public = Ed25519PrivateKey.generate().public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    # port 9 discards: the traces need a receiver's address, and nobody there
    settings = {"registry": str(folder / "models"), "trusted_keys": [str(key)], "port": 0}
    config.write_text(json.dumps({**settings, "traces": {"url": "http://127.0.0.1:9"}}))
    command = [sys.executable, "-m", "serving", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."})
    try:
        assert process.stderr is not None
        yield next(told["address"] for told in map(json.loads, process.stderr) if told["message"] == "listening")
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)
