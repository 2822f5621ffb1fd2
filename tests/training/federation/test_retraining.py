"""A retraining by the ServerApp's own code over cells in memory: promoted, skipped, kept, gone on with, begun anew."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from feature_store.errors import BadInput, StateMismatch
from tests.training.federation.retraining_world import RULES, World, retraining_world
from training.federation.centre import RetrainingRules, RunOutcome
from training.federation.errors import TooFewCells
from training.federation.tasks import RoundTask
from training.federation.wire import task_from_bytes
from training.gate import GateSettings
from training.settings import TrainingSettings


def of_round(number: int) -> Callable[[bytes], bool]:
    """Tasks of that round and those after it."""

    def is_late(content: bytes) -> bool:
        header = task_from_bytes(content).header
        return isinstance(header, RoundTask) and header.round_number >= number - 1

    return is_late


@pytest.fixture
def world(tmp_path: Path) -> World:
    return retraining_world(tmp_path)


def decided(outcome: RunOutcome) -> tuple[str, str]:
    assert outcome.retrained is not None
    return outcome.retrained.decision, outcome.retrained.judged_by


def test_a_first_model_is_promoted_the_next_waits_for_something_new_and_begins_where_that_one_ended(
    world: World,
) -> None:
    told: list[RunOutcome] = []
    first = world.retrained(told=told)
    assert decided(first) == ("promoted", "held out")
    assert world.registry.production() == first.checkpoint_id
    assert first.adopted == {"people": 60, "folded": 60, "failed": 0}
    assert [(outcome.promoted, outcome.adopted) for outcome in told] == [(True, {})]  # said before cells adopt

    idle = world.retrained()
    assert (decided(idle), idle.checkpoint_id, idle.rounds) == (("skipped", "nothing"), None, 0)
    assert idle.retrained is not None
    assert idle.retrained.why == "0 items were met since production; 1 are needed"

    world.happens(0)
    second = world.retrained(actor="night shift")
    assert decided(second) == ("promoted", "newer than production")
    assert second.retrained is not None
    assert (second.retrained.production, second.retrained.new_items) == (first.checkpoint_id, 60)
    assert second.retrained.warm
    assert second.log[0].loss < first.log[0].loss / 2  # its first round begins with production's vectors
    assert world.registry.stages().previous == (first.checkpoint_id,)
    change = world.registry.audit(1)[0].change
    assert change is not None
    assert (change.who, change.why[:21]) == ("night shift", "the gate: ndcg@20 is ")


def test_a_gate_that_refuses_keeps_production_and_publishes_a_candidate(world: World) -> None:
    first = world.retrained()
    world.happens(0)
    strict = RULES.model_copy(update={"gate": GateSettings(least_people=1000)})
    second = world.retrained(retraining=strict)
    assert (decided(second), second.promoted, second.adopted) == (("kept", "held out"), False, {})
    assert world.registry.production() == first.checkpoint_id
    assert second.checkpoint_id is not None
    assert world.registry.stages().of(second.checkpoint_id) == "candidate"
    manifest = world.registry.manifest(second.checkpoint_id)
    assert second.retrained is not None
    assert manifest.metrics == second.retrained.figures["candidate"]


def test_a_first_model_without_anybody_to_judge_waits_for_its_operator(world: World) -> None:
    few = GateSettings(least_people=61)
    kept = world.retrained(retraining=RetrainingRules(gate=few))
    assert decided(kept)[0] == "kept"
    assert world.registry.stages().production is None
    promoted = world.retrained(retraining=RetrainingRules(gate=few.model_copy(update={"first": True})))
    assert decided(promoted)[0] == "promoted"


def test_an_unfinished_retraining_is_gone_on_with_unless_it_is_old_or_of_other_settings(world: World) -> None:
    def broken_off() -> None:
        with pytest.raises(TooFewCells):
            world.retrained(of_round(3))

    broken_off()
    assert world.retrained().resumed_at == 2
    world.happens(0)
    broken_off()
    other = world.request.settings.model_copy(update={"seed": 9})
    assert world.retrained(settings=other).resumed_at == 0
    world.happens(1)
    broken_off()
    state = world.request.saved / "state.safetensors"
    long_ago = time.time() - RULES.resume_seconds - 1
    os.utime(state, (long_ago, long_ago))
    assert world.retrained().resumed_at == 0


def test_a_run_of_an_operator_is_not_discarded_by_itself(world: World) -> None:
    with pytest.raises(TooFewCells):
        world.retrained(of_round(3), retraining=None)
    other = world.request.settings.model_copy(update={"seed": 9})
    with pytest.raises(StateMismatch, match="of another run: seed 7 there and 9 here"):
        world.retrained(settings=other, retraining=None)


def test_a_new_model_is_begun_where_that_is_asked_for(world: World) -> None:
    first = world.retrained()
    world.happens(0)
    second = world.retrained(retraining=RULES.model_copy(update={"start": "new"}))
    assert second.retrained is not None
    assert not second.retrained.warm
    assert np.isclose(second.log[0].loss, first.log[0].loss, rtol=0.2)


def test_a_retraining_of_the_same_data_comes_to_the_same_checkpoint_and_keeps_it(world: World) -> None:
    rules = RULES.model_copy(update={"start": "new", "least_new_events": 0})
    first = world.retrained(retraining=rules)
    second = world.retrained(retraining=rules)
    assert second.checkpoint_id == first.checkpoint_id
    assert second.retrained is not None
    assert second.retrained.why == "the training came to the checkpoint that is in production"


def test_what_a_gate_would_tell_of_people_it_does_not_tell_of_a_private_training(world: World) -> None:
    private = TrainingSettings.model_validate({"privacy": {"epsilon": 4, "delta": 1e-5}})
    with pytest.raises(BadInput, match="a gate goes by figures of people's data that no noise is added to"):
        world.retrained(settings=private)


def test_what_a_cell_had_no_part_in_is_told(world: World) -> None:
    first_of_two = iter([True])
    silent = lambda content: b"item_ids" in content and next(first_of_two, False)  # noqa: E731 - of one use
    outcome = world.retrained(silent, quorum=1)
    assert outcome.missed[0] == ("the start of the run", "cell-a", "no answer within 0.3 seconds")
    assert outcome.cells == ("cell-b",)
