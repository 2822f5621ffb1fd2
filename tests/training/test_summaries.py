"""TensorBoard summaries, as TensorBoard itself reads them."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tests.training.test_run_log import record
from training.summaries import write_summaries


def test_tensorboard_finds_the_figures_of_each_round(tmp_path: Path) -> None:
    write_summaries(tmp_path / "run", [record(1), record(2), record(4)], "dim is **8**")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["events.out.tfevents.hearth"]
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    read = {
        tag: {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
        if tag != "configuration"
    }
    assert read == {
        "loss": pytest.approx({1: 1.5, 2: 0.75, 4: 0.375}),
        "ndcg@20/validation": {1: 0.125, 2: 0.125, 4: 0.125},
        "recall@20/validation": {1: 0.25, 2: 0.25, 4: 0.25},
        "seconds/round": {1: 0.5, 2: 0.5, 4: 0.5},
        "seconds/total": {1: 0.5, 2: 1.0, 4: 1.5},
        "clients_per_second": {1: 40, 2: 40, 4: 40},
        "uplink_bytes/client_and_round": {1: 4_000, 2: 4_000, 4: 4_000},
        "uplink_bytes/client_total": {1: 4_000, 2: 8_000, 4: 12_000},
        "uplink_bytes/all_clients_total": {1: 80_000, 2: 160_000, 4: 240_000},
    }
    (told,) = events.Tensors("configuration")
    assert make_ndarray(told.tensor_proto).tolist() == b"dim is **8**"


def test_what_was_not_validated_has_no_curve(tmp_path: Path) -> None:
    write_summaries(tmp_path / "run", [record(1, None)], "")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert {"loss", "ndcg@20/validation"} & set(events.Tags()["tensors"]) == {"loss"}
