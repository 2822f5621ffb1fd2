"""SIGKILL of whatever takes part in a run over Flower: it comes to its end, files stay whole, the exit code is true.

What a trainer alone leaves behind at each moment of a round is `tests/training/federation/test_trainers_killed.py`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.federation.filling import home
from hearth.federation.running import rounds_so_far
from tests.hearth.command import Command, Ended
from tests.hearth.watched_federation import (
    CELLS,
    PATIENCE,
    Watched,
    catalogue_of,
    interactions_of,
    kill,
    until,
    watched_federation,
)
from tests.training.federation.local_cells import SPLIT, LocalExchange, filled_memory
from tests.training.federation.trainer_proxies import Moment, Passed, body
from training.federation.cell import TrainingCell
from training.federation.federated_run import loss_settings, prepare_federated
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.parcel import Parcel
from training.federation.tasks import RoundTask
from training.item_features import ItemFeatures
from training.secure_aggregation.server_messages import Survivors
from training.settings import TrainingSettings
from training.transport import Cohorts

pytestmark = pytest.mark.slow  # Flower misses a process that was killed after a minute


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    histories = {
        who: [SPLIT.vocabulary.item_ids[row] for row in [*SPLIT.train[person], *SPLIT.valid[person]]]
        for person, who in enumerate(SPLIT.user_ids)
    }
    command = Command(tmp_path_factory.mktemp("home"))
    with watched_federation(command, interactions_of(histories), announced_draws=True) as made:
        yield made


def run_of(watched: Watched, seed: int, rounds: int) -> tuple[str | Path, ...]:
    """The command; another seed asks for other updates, each of which goes into one sum."""
    catalogue, settings = watched.place / "items.csv", watched.place / f"settings-{seed}.json"
    catalogue.write_text(catalogue_of(SPLIT.vocabulary.item_ids))
    settings.write_text(json.dumps({"dim": 8, "alpha": 0.2, "cohort": 45, "rounds": rounds, "seed": seed}))
    run = ("federation", "run", "--folder", watched.layout.folder, "--items", catalogue, "--config", settings)
    return (*run, "--quorum", "2", "--deadline", "300", "--held-out", "0", "--json")


def rounds_done(watched: Watched) -> int:
    return len(rounds_so_far(watched.layout.registry / "training"))


def summed(passed: list[Passed]) -> dict[int, list[str]]:
    """The cells whose sums are in each round, as they were asked to sign it; the last time that it was done."""
    number, found = dict[str, int](), dict[int, list[str]]()
    for one in passed:
        if one.kind == "round" and one.stage == "masked sums" and one.task is not None:
            assert isinstance(one.task.header, RoundTask)
            assert one.task.header.population == 60
            number[one.cell] = one.task.header.round_number
        if one.kind == "round" and one.stage == "agreement":
            (message,) = Parcel.from_bytes(body(one.request)).messages
            found[number[one.cell]] = [CELLS[client] for client in Survivors.from_bytes(message).clients]
    return found


def replayed(folder: Path, seed: int, there: dict[int, list[str]]) -> Any:
    """The item vectors of that run in this process, with the sums of the cells that were there in each round."""
    cells = {}
    for place, name in enumerate(CELLS):
        (folder / name).mkdir()
        people = [person for person, who in enumerate(SPLIT.user_ids) if home(who, len(CELLS)) == place]
        cells[name] = TrainingCell(filled_memory(people), None, folder / name, 3)
    cut = {f"round {number + 1}": frozenset(CELLS) - set(names) for number, names in there.items()}
    exchange = LocalExchange(cells, lambda about: cut.get(about, frozenset()))
    settings = TrainingSettings.model_validate(
        {"dim": 8, "alpha": 0.2, "cohort": 45, "rounds": len(there), "seed": seed}
    )
    taken_up = take_up(exchange, "run-again", SPLIT.vocabulary, 0.0, 3, Traffic())
    loss = loss_settings(settings, len(SPLIT.vocabulary))
    transport = FlowerTransport(exchange, "run-again", taken_up, Cohorts(45, 60, seed), loss, 1)
    run = prepare_federated(SPLIT.vocabulary, ItemFeatures(40), settings, transport)
    *_, (state, _) = run.rounds(run.start())
    return run.item_vectors(state)


def require_whole(
    watched: Watched, outcome: dict[str, Any], seed: int, folder: Path, there: dict[int, list[str]]
) -> None:
    """The checkpoint has the numbers of the same rounds without Flower; nothing is left over, all files can be read."""
    checkpoint = watched.registry().load(outcome["checkpoint_id"])
    assert sorted(there) == list(range(outcome["rounds"]))
    np.testing.assert_allclose(checkpoint.item_vectors, replayed(folder, seed, there), rtol=0, atol=1e-4)
    assert not (watched.layout.registry / "training" / "state.safetensors").exists()
    for name in CELLS:
        given = json.loads((watched.layout.cell(name).trainer_folder / "given-updates.json").read_bytes())
        assert all(2 <= len(cells) <= 3 for cells in given.values())
    status = watched.command.run("federation", "status", "--folder", watched.layout.folder, "--json").json()
    assert {process["state"] for process in status["processes"].values()} == {"running"}


def test_a_run_of_which_trainer_supernode_superlink_and_server_app_are_killed_comes_to_its_end(
    watched: Watched, tmp_path: Path
) -> None:
    killed = list[str]()

    def step_in(moment: Moment, passed: Passed) -> bool:
        if killed or (moment, passed.cell, passed.kind, passed.stage) != ("asked", "cell-1", "round", "masked sums"):
            return False
        killed.append("cell-1-trainer")
        kill(watched.child("cell-1-trainer"))
        return True

    watched.proxies.step_in = step_in
    with watched.command.started(*run_of(watched, 22, 4)) as process:
        for done, name in enumerate(("cell-3-supernode", "superlink", "server app"), start=1):
            until(lambda done=done: rounds_done(watched) >= done or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            kill(watched.server_app() if name == "server app" else watched.child(name))
            killed.append(name)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    outcome = Ended(process.returncode, stdout.decode(), stderr.decode()).json()
    assert killed == ["cell-1-trainer", "cell-3-supernode", "superlink", "server app"]
    assert (outcome["rounds"], outcome["resumed_at"], outcome["secure_sums"]) == (4, 3, True)
    assert "the run ended (No heartbeat received from the task" in stderr.decode()
    there = summed(watched.proxies.passed)
    assert there[0] == ["cell-2", "cell-3"]
    require_whole(watched, outcome, 22, tmp_path, there)


def test_a_run_that_loses_its_quorum_for_good_fails_and_the_same_command_goes_on(
    watched: Watched, tmp_path: Path
) -> None:
    before = len(watched.proxies.passed)
    watched.proxies.step_in = lambda _moment, passed: passed.cell != "cell-1" and rounds_done(watched) >= 1
    ended = watched.ended(*run_of(watched, 23, 2))
    assert "error: TooFewCells: round 2, " in ended.error()
    for cell in ("cell-2", "cell-3"):
        assert f"{cell}: TrainerUnavailable" in ended.error()
    assert rounds_done(watched) == 1
    watched.proxies.step_in = lambda _moment, _passed: False
    outcome = watched.ended(*run_of(watched, 23, 2)).json()
    assert (outcome["rounds"], outcome["resumed_at"]) == (2, 1)
    require_whole(watched, outcome, 23, tmp_path, summed(watched.proxies.passed[before:]))
