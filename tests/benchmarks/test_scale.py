"""The size benchmark, on populations of a hundred people."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.scale import measure_population, measure_scale, scale_figures
from benchmarks.scale_plot import draw_scale
from benchmarks.synthetic import synthetic_clients
from feature_store.errors import BadInput
from hearth.commands.bench_scale import show_scale
from tests.hearth.command import Command
from training.history_files import open_histories

POPULATIONS = (60, 240)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("populations")
    measured = [measure_population(folder / str(people), people, 500, 4, 0.5) for people in POPULATIONS]
    return scale_figures(measured, 500, 4, 0.5)


@pytest.mark.slow
def test_the_command_measures_each_population_in_a_process_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    command, drawing = Command(tmp_path), tmp_path / "scale.svg"
    command.environment["TMPDIR"] = str(tmp_path / "files")
    (tmp_path / "files").mkdir()
    arguments = ("bench", "scale", "--people", "500", "--people", "4000", "--items", "5000", "--dim", "8", "--json")
    figures = command.run(*arguments, "--plot", drawing).json()
    assert [population["people"] for population in figures["populations"]] == [500, 4000]
    assert figures["data"] == {"items": 5000, "dim": 8, "share_of_a_round": 1.0}
    assert drawing.read_bytes().startswith(b"<?xml")
    assert not list((tmp_path / "files").glob("hearth-scale-*"))


def test_a_population_is_written_trained_on_and_measured(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    for population, people in zip(measured["populations"], POPULATIONS, strict=True):
        assert (population["people"], population["cohort"]) == (people, people // 2)
        assert population["bytes_on_disk"] == 4 * (population["interactions"] + people)
        assert population["clients_per_second"] == pytest.approx(people / 2 / population["client_seconds"])
        assert 50 < population["peak_memory_mb"] < 6000
    first, last = measured["populations"]
    grown = np.log(last["client_seconds"] / first["client_seconds"]) / np.log(4)
    assert measured["growth"]["exponent"] == pytest.approx(grown)


def test_a_population_is_the_same_however_often_it_is_made(tmp_path: Path) -> None:
    measure_population(tmp_path / "a", 50, 300, 4, 1.0)
    measure_population(tmp_path / "b", 50, 300, 4, 1.0)
    assert (tmp_path / "a" / "rows.i4").read_bytes() == (tmp_path / "b" / "rows.i4").read_bytes()
    assert len(open_histories(tmp_path / "a")) == 50


def test_pieces_differ_and_none_is_larger_than_asked_for() -> None:
    pieces = list(synthetic_clients(25, items=300, seed=1, piece=10))
    assert [len(lengths) for _, lengths in pieces] == [10, 10, 5]
    assert all(lengths.min() >= 1 and lengths.sum() == len(rows) for rows, lengths in pieces)
    assert pieces[0][0].tolist() != pieces[1][0].tolist()


def test_one_population_says_nothing_about_growth() -> None:
    with pytest.raises(BadInput, match=r"at least two populations; got \[60\]"):
        measure_scale([60], items=500, dim=4, share=1.0, report=lambda _: None)


@pytest.mark.parametrize("share", [0.0, float("nan"), 1.5])
def test_a_share_of_people_that_cannot_be_is_refused_before_anything_is_measured(share: float) -> None:
    with pytest.raises(BadInput, match="is above 0 and at most 1; got"):
        measure_scale([60, 240], items=500, dim=4, share=share, report=pytest.fail)


def test_rounds_of_one_size_say_nothing_about_growth() -> None:
    with pytest.raises(BadInput, match=r"a share of 0\.001 of \[60, 240\] people is \[1, 1\]"):
        measure_scale([60, 240], items=500, dim=4, share=0.001, report=pytest.fail)


def test_the_table_and_the_drawing_hold_the_figures(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    show_scale(measured)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"to the power of {measured['growth']['exponent']:.2f}" in shown
    assert f"{measured['populations'][1]['interactions']:,}" in shown
    draw_scale(measured, tmp_path / "scale.svg")
    drawing = (tmp_path / "scale.svg").read_bytes()
    assert ET.fromstring(drawing).tag.endswith("svg")  # noqa: S314 - we have just drawn it ourselves
    draw_scale(measured, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == drawing
