"""A cell takes part in one run: a second one does not get at the cells that a first one has."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.training.federation.cells_grid import CellsGrid
from tests.training.federation.local_cells import LOSS, PARTS, SPLIT, filled_memory
from training.federation.cell import TrainingCell
from training.federation.centre import Request, read_outcome, write_request
from training.federation.errors import AnotherRun
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.grid_exchange import GridExchange
from training.federation.one_run import is_over, only_run
from training.federation.server_app import answer
from training.settings import TrainingSettings
from training.transport import Cohorts


def test_a_second_run_is_refused_before_any_cell_hears_of_it_and_the_first_goes_on(tmp_path: Path) -> None:
    cells, heard = dict[str, TrainingCell](), list[str]()
    for name, people in PARTS.items():
        (tmp_path / name).mkdir()
        cells[name] = TrainingCell(filled_memory(people), None, tmp_path / name, 5)

    def answering(name: str, content: bytes) -> bytes:
        heard.append(name)
        return asyncio.run(cells[name].answer(content))

    grid = CellsGrid({name: lambda content, name=name: answering(name, content) for name in cells})
    centre = tmp_path / "centre"
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("item_id,title\n" + "".join(f"{item},\n" for item in SPLIT.vocabulary.item_ids))
    settings = TrainingSettings.model_validate({"dim": 8, "alpha": 0.2, "cohort": 40, "rounds": 1})
    second = Request(
        registry=str(tmp_path / "registry"),
        signing_key=tmp_path / "key.pem",
        settings=settings,
        catalogue=catalogue,
        cells=2,
        quorum=2,
    )
    write_request(centre, "request-2", second)
    (centre / "sums.json").write_text('{"sums": "plain"}')
    with only_run(centre):
        exchange, traffic = GridExchange(grid, 5.0), Traffic()
        taken_up = take_up(exchange, "run-1", SPLIT.vocabulary, 0.1, 2, traffic)
        first = FlowerTransport(exchange, "run-1", taken_up, Cohorts(40, taken_up.clients, 7), LOSS, 2)
        heard.clear()
        with pytest.raises(AnotherRun, match=r"another run of the federation of .*centre is under way"):
            answer(grid, centre, "request-2")
        assert heard == []
        assert first.round(0, np.ones((40, 8), np.float32)).clients >= 20
        assert not is_over(centre, seconds=0.1)
    outcome = read_outcome(centre, "request-2")
    assert outcome is not None
    assert (outcome.error or "").startswith("AnotherRun: another run of the federation")
    assert is_over(centre)
    answer(grid, centre, "request-2")  # its turn has come
    done = read_outcome(centre, "request-2")
    assert done is not None
    assert done.rounds == 1


def test_of_a_federation_that_nobody_has_asked_for_anything_no_run_is_under_way(tmp_path: Path) -> None:
    assert is_over(tmp_path / "centre")
