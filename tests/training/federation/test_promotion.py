"""A ServerApp killed around its promotion: what the next run for the same request says is what the registry says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_store.errors import BadInput
from tests.training.federation.retraining_world import RULES, World, retraining_world
from training.federation.centre import Request, RunOutcome, read_outcome, write_outcome, write_request
from training.federation.errors import TooFewCells
from training.federation.promotion import Promotion, announce, came_about, forget
from training.federation.server_app import answer
from training.saved_rounds import state_file

ROOT = Path(__file__).parents[3]


def asked(folder: Path, name: str, request: Request) -> None:
    write_request(folder / "centre", name, request)
    (folder / "centre" / "sums.json").write_text('{"sums": "plain"}')


def killed(folder: Path, name: str, before: str) -> None:
    """Ask for it in another process, which is killed before it renames a file of that pattern."""
    program = [sys.executable, "-m", "tests.training.federation.killed_server_app", folder, name, before]
    assert subprocess.run(program, cwd=ROOT, timeout=120, check=False).returncode == -signal.SIGKILL
    assert read_outcome(folder / "centre", name) is None


def answered(world: World, folder: Path, name: str, silent: Callable[[bytes], bool] = lambda _: False) -> RunOutcome:
    asked(folder, name, world.request)
    answer(world.grid(silent), folder / "centre", name)
    outcome = read_outcome(folder / "centre", name)
    assert outcome is not None
    return outcome


def test_one_that_was_killed_between_promotion_and_outcome_is_told_of_as_promoted_and_not_done_again(
    tmp_path: Path,
) -> None:
    world = retraining_world(tmp_path)
    asked(tmp_path, "request-1", world.request.model_copy(update={"fresh": True}))
    killed(tmp_path, "request-1", r"/\.request-1\.outcome")
    promoted = world.registry.production()
    saved = [state_file(world.request.saved), world.request.saved / "private-run.json"]
    for file in saved:  # as of one that was killed a moment earlier
        file.write_bytes(b"of the run that was killed")
    outcome = answered(world, tmp_path, "request-2", lambda _: True)  # no cell answers: none is asked
    assert (outcome.promoted, outcome.checkpoint_id, outcome.rounds) == (True, promoted, 3)
    assert outcome.retrained is not None
    assert (outcome.retrained.decision, outcome.retrained.production) == ("promoted", None)
    assert (outcome.clients, len(outcome.log), outcome.adopted) == (60, 3, {})
    assert world.registry.stages().previous == ()
    assert not any(file.exists() for file in saved)
    idle = answered(world, tmp_path, "request-3")  # it is told once
    assert idle.retrained is not None
    assert idle.retrained.decision == "skipped"


def test_one_that_was_killed_before_promotion_goes_on_from_its_rounds_and_promotes(tmp_path: Path) -> None:
    world = retraining_world(tmp_path)
    asked(tmp_path, "request-1", world.request)
    killed(tmp_path, "request-1", r"/\.stages\.json")
    assert world.registry.stages().production is None
    assert (tmp_path / "centre" / "promotion.json").exists()
    outcome = answered(world, tmp_path, "request-2")
    assert (outcome.promoted, outcome.resumed_at, outcome.adopted["people"]) == (True, 3, 60)
    assert world.registry.production() == outcome.checkpoint_id
    assert not (tmp_path / "centre" / "promotion.json").exists()


@pytest.fixture
def announced(tmp_path: Path) -> World:
    """A checkpoint in production that a run had announced under the name of its request, and said nothing of."""
    world = retraining_world(tmp_path)
    outcome = world.retrained()
    (tmp_path / "centre").mkdir()
    announce(tmp_path / "centre", Promotion(name="request-1", request=world.request, outcome=outcome))
    return world


def test_what_was_announced_counts_for_the_same_request_alone(announced: World, tmp_path: Path) -> None:
    centre, request, registry = tmp_path / "centre", announced.request, announced.registry
    assert came_about(centre, request, registry) is not None
    for change in (
        {"fresh": True},
        {"actor": "another"},
        {"settings": request.settings.model_copy(update={"seed": 9})},
    ):
        assert came_about(centre, request.model_copy(update=change), registry) is None


def test_what_is_said_or_old_or_no_longer_in_production_does_not_count(announced: World, tmp_path: Path) -> None:
    centre, request, registry = tmp_path / "centre", announced.request, announced.registry
    file = centre / "promotion.json"
    long_ago = time.time() - RULES.resume_seconds - 1
    now = file.stat().st_mtime
    os.utime(file, (long_ago, long_ago))
    assert came_about(centre, request, registry) is None
    os.utime(file, (now, now))
    assert came_about(centre, request, registry) is not None
    write_outcome(centre, "request-1", RunOutcome(error="TooFewCells: 2 are needed"))
    assert came_about(centre, request, registry) is None
    (centre / "request-1.outcome.json").unlink()
    first = registry.production()
    second = announced.retrained(
        retraining=None, promote=True, settings=request.settings.model_copy(update={"seed": 9})
    )
    assert registry.production() == second.checkpoint_id != first
    assert came_about(centre, request, registry) is None
    forget(centre)
    assert came_about(centre, request, registry) is None
    file.write_text("{half")
    with pytest.raises(BadInput, match=r"promotion\.json: .*; without this file a training begins anew"):
        came_about(centre, request, registry)


def test_a_run_that_fails_says_so_and_leaves_what_is_written_of_another(announced: World, tmp_path: Path) -> None:
    asked(tmp_path, "request-2", announced.request.model_copy(update={"vertical": "news"}))
    with pytest.raises(TooFewCells):
        answer(announced.grid(lambda _: True), tmp_path / "centre", "request-2")
    assert answered(announced, tmp_path, "request-3").promoted
