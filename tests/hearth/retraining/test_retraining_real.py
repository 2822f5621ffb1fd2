"""Retraining as it is: cells, a SuperLink and `hearth retrain` as processes; promoted, skipped, taken over, kept."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feature_store.encryption import own_keys
from feature_store.events import Event
from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from feature_store.sqlite import open_sqlite
from hearth.commands.retrain import ANOTHER_IS_UNDER_WAY
from hearth.federation.filling import home
from hearth.federation.layout import Layout
from tests.hearth.command import Command, Ended
from tests.training.worlds import checkerboard

pytestmark = pytest.mark.slow  # Flower's programs take ten seconds to start on a busy machine, and a round as long

PATIENCE = 500.0
SPLIT = checkerboard()
SETTINGS = {
    "training": {"dim": 8, "alpha": 0.2, "cohort": 40, "rounds": 2},
    "gate": {"least_people": 20, "tolerance": 0.5, "least_coverage": 0.2},
}


class World(NamedTuple):
    """A federation of three cells that is up, with a folder for settings. Its sums are added under masks."""

    command: Command
    folder: Path

    def arguments(self, *options: str | Path) -> tuple[str | Path, ...]:
        place = self.folder.parent
        named = ("--folder", self.folder, "--config", place / "retrain.json", "--items", place / "items.csv")
        return ("retrain", *named, "--metrics-file", place / "retrain.prom", "--json", *options)

    def retrained(self, *options: str | Path) -> dict[str, Any]:
        told: dict[str, Any] = self.ended(*options).json()
        return told

    def ended(self, *options: str | Path) -> Ended:
        """As `Command.run`, with the patience that rounds ask for."""
        with self.command.started(*self.arguments(*options)) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, stdout.decode(), stderr.decode())

    def production(self) -> str | None:
        key = PublicKey.load(self.folder / "signing-key.pub")
        return Registry(self.folder / "registry", TrustedKeys([key])).stages().production

    def happens(self, place: int) -> None:
        """Everybody meets one more item, now."""
        layout = Layout(self.folder)
        for number, cell in enumerate(map(layout.cell, layout.plan().cells)):
            people = [person for person in range(60) if home(SPLIT.user_ids[person], 3) == number]
            asyncio.run(_put(cell.store, cell.store_keys, people, place))


async def _put(store: Path, keys: Path, people: list[int], place: int) -> None:
    async with open_sqlite(store, own_keys(keys)) as stores:
        events = [
            Event(f"new-{place}", SPLIT.user_ids[who], f"item-{SPLIT.test[who][place]}", "click", time.time())
            for who in people
        ]
        assert all(await stores.events.put(events))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    command = Command(tmp_path_factory.mktemp("home"))
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        folder, interactions = Path(name) / "f", Path(name) / "interactions.csv"
        lines = [
            f"{SPLIT.user_ids[person]},item-{row},click,{10**9 + place}"
            for person in range(60)
            for place, row in enumerate([*SPLIT.train[person], *SPLIT.valid[person]])
        ]
        interactions.write_text("\n".join(["user_id,item_id,event,timestamp", *lines, ""]))
        items = "".join(f"{item_id},,\n" for item_id in SPLIT.vocabulary.item_ids)
        (Path(name) / "items.csv").write_text(f"item_id,title,category\n{items}")
        (Path(name) / "retrain.json").write_text(json.dumps(SETTINGS))
        up = ("federation", "up", "--cells", "3", "--folder", folder, "--least-people", "5")
        with command.started(*up, "--interactions", interactions, stderr=subprocess.DEVNULL) as process:
            until(lambda: _is_up(folder) or process.poll() is not None)
            assert process.poll() is None
            yield World(command, folder)
            command.run("federation", "down", "--folder", folder)
            assert process.wait(PATIENCE) == 0


def _is_up(folder: Path) -> bool:
    file = folder / "status.json"
    return file.exists() and bool(json.loads(file.read_bytes())["ready"])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_first_model_is_promoted_when_it_is_better_than_popularity(world: World) -> None:
    told = world.retrained()
    assert told["decision"] == "promoted", told
    assert (told["secure_sums"], told["cells"]) == (True, ["cell-1", "cell-2", "cell-3"])
    assert told["figures"]["candidate"]["ndcg@20"] > told["figures"]["popularity"]["ndcg@20"]
    assert told["adopted"] == {"people": 60, "folded": 60, "failed": 0}
    assert world.production() == told["candidate"]
    page = Path(told["report"]).read_text()
    assert "The candidate was promoted" in page
    assert 'hearth_retrain_decision{decision="promoted"} 1.0' in (world.folder.parent / "retrain.prom").read_text()


def test_nothing_is_trained_when_nothing_is_new(world: World) -> None:
    before = world.production()
    told = world.retrained()
    assert (told["decision"], told["production"], told["candidate"]) == ("skipped", before, None)
    assert world.production() == before


def test_two_exclude_each_other_and_what_a_killed_one_began_is_ended_and_done(world: World) -> None:
    before = world.production()
    world.happens(0)
    note = world.folder / "centre" / "retraining.json"
    with world.command.started(*world.arguments()) as process:
        until(lambda: note.exists() and json.loads(note.read_bytes())["run_id"] is not None)
        second = world.ended()
        assert second.status == ANOTHER_IS_UNDER_WAY
        assert f"another training is under way in {note.parent}: process {process.pid} on" in second.stderr
        assert second.stdout == ""
        rounds = world.folder / "registry" / "training" / "state.safetensors"
        until(rounds.exists)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert note.exists()
    told = world.retrained()
    assert told["decision"] == "promoted", told
    assert (told["production"], told["new_items"], told["judged_by"]) == (before, 60, "newer than production")
    assert told["warm"]
    assert told["resumed_at"] >= 1  # what the killed one had done was not done again
    assert world.production() == told["candidate"] != before
    assert not note.exists()


def test_a_gate_that_refuses_keeps_production_and_the_candidate_stays_one(world: World) -> None:
    before = world.production()
    world.happens(1)
    place = world.folder.parent
    (place / "strict.json").write_text(json.dumps(SETTINGS | {"gate": {**SETTINGS["gate"], "least_people": 1000}}))
    told = world.retrained("--config", place / "strict.json")
    assert (told["decision"], told["judged_by"]) == ("kept", "held out")
    assert told["why"] == "people judged is 60, and 1000 is needed"
    assert world.production() == before
    listed = world.command.run(
        *("models", "list", "--registry", world.folder / "registry", "--json"),
        *("--trust", world.folder / "signing-key.pub"),
    ).json()
    stages = {model["checkpoint_id"]: model["stage"] for model in listed["models"]}
    assert (stages[told["candidate"]], stages[before]) == ("candidate", "production")


def test_a_failure_has_a_report_and_a_status_of_its_own(world: World) -> None:
    ended = world.ended("--new", "--quorum", "9", "--cells", "3")
    assert ended.status == 1
    reports = sorted((world.folder / "reports").glob("*.json"))
    record = json.loads(reports[-1].read_bytes())
    assert record["decision"] == "failed"
    assert "9 cells are needed" in record["why"]
    metrics = (world.folder.parent / "retrain.prom").read_text()
    assert 'hearth_retrain_decision{decision="failed"} 1.0' in metrics
    success = next(line for line in metrics.splitlines() if line.startswith("hearth_retrain_last_success"))
    assert float(success.split()[1]) > 0
