"""The tables: cells that are kept, measured anew when what they follow from has changed, and chosen on valid."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.federated_choice import changed
from benchmarks.table_data import DATA_SETS, DataSet, full_ranking
from benchmarks.table_rows import FEDERATED, rows
from benchmarks.tables import Cells, fill, page, read_cells
from feature_store.errors import BadInput
from tests.benchmarks.tastes import two_tastes
from tests.training.test_recency import fashion
from training.settings import TrainingSettings

FIGURES = ("ndcg@20", "recall@20")
TASTES = DataSet("tastes", "Two tastes", FIGURES, lambda data: full_ranking(two_tastes()))
OTHERS = DataSet("others", "Two other tastes", FIGURES, lambda data: full_ranking(two_tastes(seed=6)))


def filled(cache: Path, only: Sequence[str] = ("popularity", "ease"), **changes: Any) -> tuple[Cells, list[str]]:
    told: list[str] = []
    settings = {"seeds": (1, 2), "dim": 4, "rounds": 4} | changes
    cells = fill(cache.parent, [TASTES], cache, told.append, only=only, **settings)
    return cells, told


def measured(told: list[str]) -> list[str]:
    return [line for line in told if "seed" in line]


def test_a_cell_that_is_known_is_not_measured_again_and_every_cell_is_kept_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "cells.json"
    first, told = filled(cache, ["popularity"])
    assert measured(told) == ["popularity, seed 1", "popularity, seed 2"]
    assert read_cells(cache) == first
    both, told = filled(cache)
    assert measured(told) == ["ease, seed 1", "ease, seed 2"]
    assert "tastes, popularity: known" in told
    assert both["tastes"]["popularity"] == first["tastes"]["popularity"]
    assert measured(filled(cache)[1]) == []


@pytest.mark.parametrize("change", [{"seeds": (1, 3)}, {"quick": True}])
def test_a_cell_is_measured_anew_where_what_it_follows_from_has_changed(tmp_path: Path, change: dict[str, Any]) -> None:
    cache = tmp_path / "cells.json"
    filled(cache, ["popularity"])
    assert measured(filled(cache, ["popularity"], **change)[1])


def test_other_data_under_the_same_name_is_measured_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cells.json"
    filled(cache, ["popularity"])
    told: list[str] = []
    fill(tmp_path, [OTHERS._replace(name="tastes")], cache, told.append, only=["popularity"], seeds=(1, 2), dim=4)
    assert measured(told)


def test_a_federated_cell_says_what_was_chosen_and_what_it_cost(tmp_path: Path) -> None:
    cells, told = filled(tmp_path / "cells.json", ["FedAdam"])
    cell = cells["tastes"]["FedAdam"]
    assert cell["chosen"] in [dict(changes) for changes in FEDERATED["FedAdam"]]
    on_valid = {
        line.rpartition(": ")[0].partition(": ")[2]: float(line.rpartition(": ")[2]) for line in told if "of 3" in line
    }
    assert on_valid[str(cell["chosen"])] == max(on_valid.values())
    assert cell["rounds"] == 4
    # a tenth of the clients, four times: item_delta (30 x 4), weight and item_counts, in float32, and two numbers
    assert cell["uplink_bytes"] == pytest.approx(4 * 0.1 * (4 * (30 * 4 + 1 + 30) + 8))
    assert cell["spread"].keys() == cell["mean"].keys()


def test_every_row_of_every_kind_of_split_is_a_setting_that_exists() -> None:
    names = [row.name for row in rows(two_tastes(), TrainingSettings(dim=4))]
    assert len(set(names)) == len(names)
    assert {"curvature", "FedAvg", "FedAvgM", "FedAdam", "FedYogi", "FedProx", "ease", "als"} <= set(names)
    for grid in FEDERATED.values():
        for changes in grid:
            changed(TrainingSettings(), changes, 4000)
    of_time = {row.name for row in rows(fashion(ranks_met=True), TrainingSettings(dim=4))}
    assert of_time - set(names) == {"curvature + recency", "recent popularity", "own history"}
    assert len({data_set.name for data_set in DATA_SETS}) == len(DATA_SETS)


def test_the_page_has_every_cell_and_a_dash_where_there_is_none() -> None:
    def cell(ndcg: float, *, quick: bool = False, rounds: int | None = None) -> dict[str, Any]:
        return {
            "mean": {"ndcg@20": ndcg, "recall@20": 0.5},
            "chosen": {"unmet_weight": 720.0, "server": {"learning_rate": 0.1}},
            "rounds": rounds,
            "uplink_bytes": None if rounds is None else 1.5e6,
            "quick": quick,
        }

    cells = {
        "tastes": {"curvature": cell(0.25, rounds=40), "ease": cell(0.2)},
        "others": {"ease": cell(0.125, quick=True)},
    }
    lines = page(cells, [TASTES, OTHERS]).splitlines()
    assert "| | tastes, ndcg@20 | others, ndcg@20 |" in lines
    assert "| curvature | 0.2500 | - |" in lines
    assert "| ease | 0.2000 | 0.1250 q |" in lines
    assert "| curvature | 0.2500 | 0.5000 | 40 | 1.5 | unmet_weight 720.0, learning_rate 0.1 |" in lines
    assert "| ease | 0.2000 | 0.5000 | - | - | unmet_weight 720.0, learning_rate 0.1 |" in lines
    assert [line for line in lines if line.startswith("## ")] == ["## Two tastes", "## Two other tastes"]


def test_a_row_that_does_not_exist_and_a_cache_that_is_none_are_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cells.json"
    with pytest.raises(
        BadInput, match=r"tastes has no row 'FedSGD'; it has: curvature; curvature \+ item-item; FedAvg; FedAvg, mixing"
    ):
        filled(cache, ["FedSGD"])
    for text in ("{", json.dumps([1])):
        cache.write_text(text)
        with pytest.raises(BadInput, match="is not a cache of cells"):
            read_cells(cache)
