"""A private run from request to checkpoint, by the ServerApp's own code: gone on with, discarded, and refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from tests.training.federation.cells_grid import CellsGrid
from tests.training.federation.private_cells import SETTINGS, SPLIT, Cells, in_the_clear, private_cells
from training.federation.centre import Request
from training.federation.errors import TooFewCells
from training.federation.server_app import train
from training.privacy.ledger import BudgetSpent, Entry, FileLedger
from training.privacy.release import ALONG, COUNTS, GRAM


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """Of a private run over three cells."""
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("item_id,title\n" + "".join(f"{item},{item}\n" for item in SPLIT.vocabulary.item_ids))
    return Request(
        registry=str(tmp_path / "registry"),
        signing_key=tmp_path / "key.pem",
        settings=SETTINGS,
        catalogue=catalogue,
        held_out=0.0,
        cells=3,
        quorum=2,
        gather_seconds=0.0,
        deadline_seconds=0.5,
    )


def of_second_moment(content: bytes) -> bool:
    return b"private" in content and b"noise_cells" in content and not of_first(content)


def of_first(content: bytes) -> bool:
    return b'"popularity":{"dtype":"F32","shape":[0]' in content


def released(ledger: FileLedger) -> list[str]:
    return [entry.released for entry in ledger.entries()]


def centre(request: Request) -> FileLedger:
    return FileLedger(Path(request.registry) / "privacy" / "ledger.jsonl")


def of_cells(cells: Cells) -> list[list[str]]:
    return [released(releases.ledger) for releases in cells.releases.values()]


def test_a_private_run_publishes_what_it_has_spent_and_no_figure_of_anybody(tmp_path: Path, request_: Request) -> None:
    cells = private_cells(tmp_path)
    outcome = train(CellsGrid(in_the_clear(cells)), request_)
    assert (outcome.rounds, outcome.clients, outcome.valid) == (3, 300, {})
    assert outcome.privacy is not None
    assert outcome.privacy.epsilon == 8
    key = SigningKey.load_or_create(request_.signing_key)
    published = Registry(Path(request_.registry), TrustedKeys([key.public])).load(outcome.checkpoint_id or "")
    assert published.manifest.privacy == outcome.privacy
    assert published.manifest.metrics == {}
    assert of_cells(cells) == [[COUNTS, GRAM, ALONG]] * 3
    with pytest.raises(BudgetSpent, match="what is left of this training would bring"):
        train(CellsGrid(in_the_clear(cells)), request_)  # another training of the same people


def test_a_run_that_ended_in_the_middle_goes_on_and_pays_for_nothing_twice(tmp_path: Path, request_: Request) -> None:
    cells = private_cells(tmp_path)
    with pytest.raises(TooFewCells, match="no answer within"):
        train(CellsGrid(in_the_clear(cells), of_second_moment), request_)
    assert released(centre(request_)) == [COUNTS, GRAM]  # paid for, as cells may have been heard
    assert of_cells(cells) == [[COUNTS]] * 3
    outcome = train(CellsGrid(in_the_clear(cells)), request_)
    assert (outcome.resumed_at, outcome.rounds) == (1, 3)
    assert released(centre(request_)) == [COUNTS, GRAM, ALONG]
    assert of_cells(cells) == [[COUNTS, GRAM, ALONG]] * 3
    assert outcome.privacy is not None
    assert outcome.privacy.epsilon == 8


def test_a_run_that_is_begun_anew_pays_for_all_of_itself(tmp_path: Path, request_: Request) -> None:
    cells = private_cells(tmp_path)
    with pytest.raises(TooFewCells):
        train(CellsGrid(in_the_clear(cells), of_first), request_)
    with pytest.raises(BudgetSpent):
        train(CellsGrid(in_the_clear(cells)), request_.model_copy(update={"fresh": True}))
    assert released(centre(request_)) == [COUNTS]
    assert {entry.run for entry in centre(request_).entries()} != {None}


def test_what_was_spent_at_the_centre_before_counts(tmp_path: Path, request_: Request) -> None:
    ledger = centre(request_)
    ledger.spend(Entry(released="before", cost=2.7), None)
    with pytest.raises(BudgetSpent):
        train(CellsGrid(in_the_clear(private_cells(tmp_path))), request_)


def test_a_private_request_judges_nobody(request_: Request) -> None:
    for wrong in ({"held_out": 0.1}, {"validates": True}):
        with pytest.raises(ValidationError, match="a private run holds nothing out and validates nothing"):
            Request.model_validate(request_.model_dump() | wrong)
