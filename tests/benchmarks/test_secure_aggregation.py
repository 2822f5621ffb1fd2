"""The benchmark of secure aggregation, on small rounds."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.secure_aggregation import STAGES, Load, measure_secure_aggregation
from hearth.commands.bench_secure_aggregation import secure_aggregation, show_secure_aggregation

LOAD = Load(items=50, dim=4, cohorts=(3, 10), turns=2)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure_secure_aggregation(LOAD, lambda _: None, flower=False)


def test_each_cohort_is_measured_with_and_without_dropouts(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False))["load"]["numbers"] == 300
    assert [(of["clients"], of["dropped"], of["threshold"]) for of in measured["rounds"]] == [
        (3, 0, 3),
        (10, 0, 7),
        (10, 1, 7),
    ]
    for of in measured["rounds"]:
        for side in ("client", "server"):
            assert list(of[side]["seconds_by_stage"]) == list(STAGES)
            assert all(seconds > 0 for seconds in of[side]["seconds_by_stage"].values())
            assert of[side]["cpu_seconds"] > 0
            assert max(of[side]["seconds_by_stage"].values()) / 10 < of[side]["seconds"]


def test_sums_are_as_exact_as_they_are_said_to_be(measured: dict[str, Any]) -> None:
    for of in measured["rounds"]:
        assert of["error"]["item_counts"]["largest"] == 0
        assert 0 < of["error"]["item_gradient"]["largest"] <= of["error"]["item_gradient"]["bound"]


def test_bytes_are_those_of_the_messages(measured: dict[str, Any]) -> None:
    """Header 39 (with the sender); then what docs/secure-aggregation.md says of each message."""
    ten = measured["rounds"][1]["client"]
    keys, shares, masked = 39 + 32 + 32 + 1 + 64, 39 + 32 + 2 + 9 * 150, 39 + 4 + 4 * 300
    agreement, unmasking = 39 + 1 + 64, 39 + 2 + 10 * 68 + 2
    assert ten["uplink_bytes"] == keys + shares + masked + agreement + unmasking
    assert ten["uplink_of_plain"] == ten["uplink_bytes"] / 1200
    assert measured["rounds"][1]["plain"]["uplink_bytes"] == 1200
    assert measured["rounds"][2]["client"]["uplink_bytes"] == ten["uplink_bytes"]  # a share is a share


def test_the_figures_are_shown_as_a_table(measured: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    show_secure_aggregation(measured)
    shown = capsys.readouterr().out
    assert "300 numbers of each client" in shown
    assert "10, 1 drop out" in shown
    assert "Flower" not in shown
    show_secure_aggregation(measured | {"mask": measured["mask"] | {"flower_seconds": 0.1175}})
    assert "as Flower's SecAgg+ makes it 117.5 ms" in capsys.readouterr().out


def test_the_command_prints_one_json_object() -> None:
    app = typer.Typer()
    app.command()(secure_aggregation)
    options = ["--items", "5", "--dim", "2", "--clients", "4", "--turns", "1", "--no-flower", "--json"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["load"]["numbers"] == 20
    assert [of["clients"] for of in figures["rounds"]] == [4]


@pytest.mark.slow
def test_flowers_mask_of_the_same_length_is_made_in_the_same_run() -> None:
    """No order is asserted: on a machine that is busy with other things either may take longer."""
    load = LOAD._replace(items=3628, dim=64, cohorts=())
    mask = measure_secure_aggregation(load, lambda _: None, flower=True)["mask"]
    assert mask["numbers"] == 239_448
    assert mask["bytes_per_second"] == pytest.approx(4 * 239_448 / mask["seconds"])
    assert mask["faster_by"] == pytest.approx(mask["flower_seconds"] / mask["seconds"])
