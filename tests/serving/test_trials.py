"""The trial that is going on follows the shadow stage, and a guardrail ends it everywhere."""

import asyncio

from serving.live import LiveModel
from serving.metrics import create_metrics
from serving.trial import TrialSettings
from serving.trials import Trials
from tests.serving.published import Publisher, draft


def trials_of(publisher: Publisher, **settings: float) -> Trials:
    metrics = create_metrics()
    shadow = LiveModel(publisher.registry, metrics, 1e-9, stage="shadow")
    return Trials(shadow, TrialSettings.model_validate({"share": 0.5, **settings}), publisher.registry, metrics)


def look(trials: Trials) -> str | None:
    asyncio.run(trials.shadow.look())
    trial = trials.current()
    return None if trial is None else trial.model_id


def test_each_model_in_the_shadow_stage_has_a_trial_of_its_own(publisher: Publisher) -> None:
    trials = trials_of(publisher)
    first, second, third = (publisher.publish(draft(seed), promote=seed == 1) for seed in (1, 2, 3))
    assert look(trials) is None
    publisher.registry.promote(second, "shadow")
    assert look(trials) == second
    trial = trials.current()
    assert trial is not None
    trial.theirs.requests = 7
    assert trials.current() is trial
    publisher.registry.promote(third, "shadow")
    assert look(trials) == third
    other = trials.current()
    assert other is not None
    assert other.theirs.requests == 0
    publisher.registry.promote(third, "candidate")
    assert look(trials) is None
    assert publisher.registry.stages().production == first


def test_a_guardrail_takes_the_shadow_stage_from_a_model_that_fails_and_says_why(publisher: Publisher) -> None:
    trials = trials_of(publisher, least_requests=10)
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    publisher.registry.promote(second, "shadow")
    assert look(trials) == second
    trial = trials.current()
    assert trial is not None
    tried = [unit for unit in map(str, range(100)) if trial.answers(unit)]
    assert tried
    trial.theirs.requests, trial.theirs.failures = 9, 9
    asyncio.run(trials.judge())
    assert trial.stopped is None
    trial.theirs.requests = 10
    asyncio.run(trials.judge())
    assert trial.stopped is not None
    assert not any(trial.answers(unit) for unit in tried)
    stages = publisher.registry.stages()
    assert (stages.production, stages.shadow) == (first, None)
    [change] = [entry.change for entry in publisher.registry.audit(1)]
    assert change is not None
    assert (change.who, change.why) == ("a guardrail", "9 of 10 answers failed; at most 1.0% may")
    assert look(trials) is None


def test_where_the_registry_cannot_be_changed_this_server_stops_the_trial_all_the_same(publisher: Publisher) -> None:
    trials = trials_of(publisher, least_requests=1)
    publisher.publish(draft(1))
    second = publisher.publish(draft(2), promote=False)
    publisher.registry.promote(second, "shadow")
    assert look(trials) == second
    for file in (publisher.folder / "checkpoints" / second).iterdir():
        file.unlink()
    trial = trials.current()
    assert trial is not None
    trial.theirs.requests = trial.theirs.failures = 5
    asyncio.run(trials.judge())
    assert trial.stopped is not None
    assert trials.current() is trial
