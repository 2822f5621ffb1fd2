"""`hearth train --epsilon --delta`: what it publishes says what it cost, and a second time is refused."""

import json
from pathlib import Path

import pytest

from tests.hearth.command import Command
from tests.hearth.world import small_world


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.mktemp("data") / "world", people=200)


def test_private_training_publishes_what_it_cost_and_is_held_to_its_budget(
    command: Command, world: Path, tmp_path: Path
) -> None:
    private = ("train", "--interactions", world, "--registry", tmp_path / "r", "--epsilon", "8", "--delta", "1e-5")
    trained = command.run(*private, "--json").json()
    assert (trained["privacy"]["epsilon"], trained["privacy"]["delta"], trained["rounds"]) == (8, 1e-5, 3)
    assert trained["valid"] == {}
    assert "report" not in trained
    assert not (tmp_path / "r" / "runs").exists()

    with command.server() as run:
        (listed,) = run("models", "list", "--registry", tmp_path / "r", "--json").json()["models"]
        assert listed["privacy"] == trained["privacy"]
        assert "8 (1e-05)" in run("models", "list", "--registry", tmp_path / "r").stdout
        shown = run("models", "show", trained["checkpoint_id"], "--registry", tmp_path / "r").stdout
        assert "one person's whole history" in shown
    entries = [json.loads(line) for line in (tmp_path / "r" / "privacy" / "ledger.jsonl").read_text().splitlines()]
    assert [entry["released"] for entry in entries] == ["item_sums", "centred_gram", "along_directions"]

    assert "and the budget is 8" in command.run(*private).error()
    more = command.run(*private, "--privacy-budget", "13", "--json").json()
    assert 12 < more["privacy"]["epsilon"] < 13
    assert more["privacy"]["run_epsilon"] == 8


def test_an_epsilon_without_a_delta_is_no_promise(command: Command, world: Path, tmp_path: Path) -> None:
    said = command.run("train", "--interactions", world, "--registry", tmp_path / "r", "--epsilon", "8").error()
    assert "privacy.delta: Field required" in said
    assert not (tmp_path / "r" / "privacy").exists()
