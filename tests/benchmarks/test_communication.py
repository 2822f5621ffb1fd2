"""The communication benchmark: bytes are those sent, ratios follow from them, and the rival sends what it says."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.communication import Way, measure_communication, whole_bytes
from benchmarks.communication_plot import draw_communication
from benchmarks.top_rows import rows_within, top_rows_bytes, with_top_rows
from tests.training.worlds import checkerboard
from training.compression.client import complete_gradient
from training.compression.settings import CompressionSettings
from training.compression.sizes import uplink_bytes
from training.run import prepare
from training.settings import TrainingSettings

WAYS = (
    Way("cohorts", everybody=False),
    Way("everybody"),
    Way("compressed", {"rows": 0.5}),
    Way("longest rows", top_rows=5),
)


def test_bytes_of_every_way_are_counted_until_enough_is_reached(tmp_path: Path) -> None:
    split = checkerboard(people=240)
    told: list[str] = []
    figures = measure_communication(split, dim=4, rounds=6, seeds=(1,), report=told.append, chosen=WAYS)
    cohorts, everybody, compressed, longest = figures["ways"]
    assert told == ["centralised", *(way.name for way in WAYS)]
    assert cohorts["uplink_bytes_a_round"] == everybody["uplink_bytes_a_round"] == whole_bytes(40, 4)
    assert everybody["uplink_ratio"] == 1
    settings = CompressionSettings(rows=0.5)
    sent = [uplink_bytes(place, 40, 4, settings) for place in range(1, 7)]
    assert compressed["uplink_bytes_a_round"] == pytest.approx(sum(sent) / 6)
    assert [point["uplink_bytes"] for point in compressed["curve"]] == np.cumsum(sent).tolist()
    assert compressed["downlink_bytes_a_round"] == pytest.approx(40 * (4 + 4) + 40 * 5 / 6)  # no steps in the survey
    assert everybody["downlink_bytes_a_round"] == 40 * 4 * 4
    assert longest["uplink_bytes_a_round"] == top_rows_bytes(5, 4) == 5 * 20 + 10 * 4
    place = everybody["rounds_until_enough"]
    assert everybody["uplink_bytes_until_enough"] == place * whole_bytes(40, 4)
    curve = [point["ndcg@20"] for point in everybody["curve"]]
    enough = 0.97 * figures["centralised_ndcg@20"]
    assert curve[int(place) - 1] >= enough > max([0.0, *curve[: int(place) - 1]])
    assert everybody["ndcg@20"] == curve[-1] > 0.5
    draw_communication(figures, tmp_path / "drawn.svg")
    assert ET.parse(tmp_path / "drawn.svg").getroot().tag.endswith("svg")  # noqa: S314 - written a line above


def test_a_cell_that_sends_its_longest_rows_leaves_the_others_where_they_are() -> None:
    split = checkerboard()
    settings = {"dim": 4, "alpha": 0.2, "curvature": {"momentum": 0.0}}
    run = prepare(split, TrainingSettings.model_validate(settings))
    vectors = run.item_vectors(run.start())
    whole = complete_gradient(run.algorithm.client_update(vectors, list(split.train)), vectors, run.fold_in)
    rival = with_top_rows(run.algorithm, run.fold_in, 5)
    update = rival.client_update(vectors, list(split.train))
    sent = complete_gradient(update, vectors, run.fold_in)
    longest = np.argsort(-np.linalg.norm(whole, axis=1))[:5]
    np.testing.assert_allclose(sent[longest], whole[longest], rtol=1e-5)
    assert np.abs(np.delete(sent, longest, axis=0)).max() < 1e-4 * np.abs(whole).max()
    moved = np.abs(run.item_vectors(run.algorithm.server.apply(run.start(), update)) - vectors).max(axis=1)
    assert set(np.argsort(-moved)[:5].tolist()) == set(longest.tolist())


def test_as_many_rows_are_sent_as_the_bytes_hold() -> None:
    rows = rows_within(60_886, 64)
    assert top_rows_bytes(rows, 64) <= 60_886 < top_rows_bytes(rows + 1, 64)
