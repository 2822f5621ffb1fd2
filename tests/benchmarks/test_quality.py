"""The quality benchmark: all figures of federated training beside its peers, from one run."""

import copy
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from benchmarks.machine import peak_memory_megabytes
from benchmarks.quality import measure_quality
from feature_store.vocabulary import ItemVocabulary
from hearth.commands.bench_quality import show_quality
from tests.benchmarks.tastes import two_tastes
from tests.hearth.command import Command
from tests.hearth.world import small_world
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

FIGURES = {"recall@20", "ndcg@20", "hr@10", "coverage@20", "users"}
SETTINGS = TrainingSettings(dim=4, rounds=11, cohort=10, patience=0)
TOO_FEW_ITEMS = "nobody has a test item and 99 items not met; the canary needs them"


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the benchmark said that it was doing."""
    return []


@pytest.fixture(scope="module")
def measured(told: list[str]) -> dict[str, Any]:
    return measure_quality(two_tastes(), SETTINGS, [1, 2], told.append)


def test_every_part_is_there_and_can_be_written_as_json(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["benchmark"] == "quality"
    assert {"processor", "cores", "system", "python", "numpy", "tensorflow", "date", "command"} <= measured.keys()
    assert measured["data"] == {"users": 40, "items": 30, "train": 280, "valid": 80, "test": 120} | {
        "repeats": 0,
        "ranks_met": False,
        "out_of_reach": {"people": 0, "items": 0, "targets": 0, "asked": 0},
    }
    assert measured["peers"].keys() == {"popularity", "ease", "als"}
    assert measured["peers_left_out"] == {}
    for part in (measured["federated"], *measured["peers"].values()):
        assert part["mean"].keys() == part["spread"].keys() == FIGURES
        assert part["mean"]["users"] == 40


def test_the_federated_figures_are_those_of_the_runs_with_each_seed(measured: dict[str, Any]) -> None:
    tests, milestones, reports = [], [], []
    for seed in (1, 2):
        run = prepare(two_tastes(), SETTINGS.model_copy(update={"seed": seed}))
        state = run.start()
        for after, report in run.rounds(state, validate=False):
            state = after
            if report.round_number == 10:
                milestones.append(run.test(state).figures())
            reports.append(report)
        tests.append(run.test(state).figures())
    federated = measured["federated"]
    for name in FIGURES:
        assert federated["mean"][name] == pytest.approx(mean(figures[name] for figures in tests))
        assert federated["spread"][name] == pytest.approx(stdev(figures[name] for figures in tests))
        assert federated["after_rounds"]["10"][name] == pytest.approx(mean(figures[name] for figures in milestones))
    assert federated["after_rounds"].keys() == {"10"}  # there is no twentieth round
    assert federated["mean"]["ndcg@20"] > 1.5 * measured["peers"]["popularity"]["mean"]["ndcg@20"]
    assert (federated["clients"], federated["cohort"], federated["cohort_share"]) == (40, 10, 0.25)
    assert federated["rounds"] == [11, 11]
    assert federated["uplink_bytes_per_client_and_round"] == reports[0].uplink_bytes_per_client
    # a client takes part in a quarter of the eleven rounds
    assert federated["uplink_bytes_per_client"] == pytest.approx(reports[0].uplink_bytes_per_client * 11 / 4)
    assert len(federated["training_seconds"]) == 2
    assert 0 < federated["peak_memory_mb"] <= peak_memory_megabytes()
    assert federated["settings"] == SETTINGS.model_dump(mode="json", exclude={"seed"})


def test_the_ratios_are_the_quotients_of_the_means(measured: dict[str, Any]) -> None:
    assert measured["ratios"].keys() == measured["peers"].keys()
    for name, peer in measured["peers"].items():
        assert measured["ratios"][name] == {
            figure: measured["federated"]["mean"][figure] / value
            for figure, value in peer["mean"].items()
            if figure != "users"
        }


def test_what_is_being_done_is_told_as_it_goes_on(measured: dict[str, Any], told: list[str]) -> None:
    assert told == [
        "federated, seed 1",
        "federated, seed 2",
        "popularity: 1 settings on valid, then 2 seeds",
        "ease: 4 settings on valid, then 2 seeds",
        "als: 20 settings on valid, then 2 seeds",
        "canary",
    ]


def test_a_catalogue_too_small_for_the_canary_is_said_and_costs_no_other_figure(measured: dict[str, Any]) -> None:
    assert measured["canary"] == {"left_out": TOO_FEW_ITEMS}


def test_a_peer_that_cannot_take_so_many_items_is_left_out_by_name() -> None:
    split = two_tastes()
    larger = Split(
        vocabulary=ItemVocabulary(f"i{item}" for item in range(10_001)),
        user_ids=split.user_ids[:4],
        train=_first(split.train, 4),
        valid=_first(split.valid, 4),
        test=_first(split.test, 4),
    )
    told: list[str] = []
    settings = TrainingSettings(dim=2, rounds=1, cohort=4, patience=0)
    measured = measure_quality(larger, settings, [1], told.append)
    assert measured["peers"].keys() == measured["ratios"].keys() == {"popularity", "als"}
    assert measured["peers_left_out"] == {"ease": "takes at most 10000 items"}
    assert "ease: left out, as it cannot take 10001 items" in told
    assert measured["federated"]["spread"]["ndcg@20"] == 0
    assert measured["canary"].keys() == {"hr_10", "users", "chance"}


def test_the_tables_show_the_same_figures_also_where_one_is_missing(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    show_quality(measured)
    shown = capsys.readouterr().out
    assert f"{measured['federated']['mean']['ndcg@20']:.4f}" in shown
    assert f"{measured['ratios']['als']['recall@20']:.3f}" in shown
    assert TOO_FEW_ITEMS in " ".join(shown.split())
    without = copy.deepcopy(measured)
    del without["ratios"]["popularity"]["recall@20"]  # as where popularity finds nothing
    without["canary"] = {"hr_10": 0.125, "users": 3, "chance": 0.1}
    show_quality(without)
    assert "canary: 0.125 (chance 0.100)" in " ".join(capsys.readouterr().out.split())


def test_the_command_measures_a_world_that_allows_a_canary(tmp_path: Path) -> None:
    world = small_world(tmp_path / "world", people=50, items=160, own=40, other=4)
    arguments = ("bench", "quality", "--split", world, "--seeds", "1", "--dim", "4", "--rounds", "12", "--json")
    ended = Command(tmp_path).run_watched(*arguments)
    figures = ended.json()
    assert "canary" in ended.stderr  # the step it is at, on any kind of terminal
    assert figures["command"].endswith(f"bench quality --split {world} --seeds 1 --dim 4 --rounds 12 --json")
    assert figures["federated"]["cohort"] == 5  # 10 % of 50
    assert figures["federated"]["mean"]["ndcg@20"] > 1.3 * figures["peers"]["popularity"]["mean"]["ndcg@20"]
    assert figures["canary"]["users"] == 50
    assert figures["canary"]["hr_10"] == pytest.approx(0.1, abs=0.1)


def _first(part: Any, clients: int) -> Any:
    return type(part).of([part[client] for client in range(clients)])
