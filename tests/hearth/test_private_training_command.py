"""`hearth train --epsilon --delta`: what it publishes says what it cost, and a second time is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hearth.command import Ended
from tests.hearth.world import small_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.mktemp("data") / "world", people=200)


def test_private_training_publishes_what_it_cost_and_is_held_to_its_budget(
    hearth: Callable[..., Ended], world: Path, tmp_path: Path
) -> None:
    private = ("train", "--interactions", world, "--registry", tmp_path / "r", "--epsilon", "8", "--delta", "1e-5")
    trained = hearth(*private, "--json").json()
    assert (trained["privacy"]["epsilon"], trained["privacy"]["delta"], trained["rounds"]) == (8, 1e-5, 3)
    assert trained["valid"] == {}
    assert "report" not in trained
    assert not (tmp_path / "r" / "runs").exists()

    (listed,) = hearth("models", "list", "--registry", tmp_path / "r", "--json").json()["models"]
    assert listed["privacy"] == trained["privacy"]
    assert "8 (1e-05)" in hearth("models", "list", "--registry", tmp_path / "r").stdout
    shown = hearth("models", "show", trained["checkpoint_id"], "--registry", tmp_path / "r").stdout
    assert "one person's whole history" in shown
    entries = [json.loads(line) for line in (tmp_path / "r" / "privacy" / "ledger.jsonl").read_text().splitlines()]
    assert [entry["released"] for entry in entries] == ["item_sums", "centred_gram", "along_directions"]

    assert "and the budget is 8" in hearth(*private).error()
    more = hearth(*private, "--privacy-budget", "13", "--json").json()
    assert 12 < more["privacy"]["epsilon"] < 13
    assert more["privacy"]["run_epsilon"] == 8


def test_an_epsilon_without_a_delta_is_no_promise(hearth: Callable[..., Ended], world: Path, tmp_path: Path) -> None:
    said = hearth("train", "--interactions", world, "--registry", tmp_path / "r", "--epsilon", "8").error()
    assert "privacy.delta: Field required" in said
    assert not (tmp_path / "r" / "privacy").exists()
