"""The live model follows what is promoted, and goes on answering where that cannot be loaded."""

import asyncio
import json
import os
import time

import pytest

from feature_store.checkpoint import Checkpoint
from feature_store.registry import Registry, Stages
from feature_store.signing import SigningKey, TrustedKeys
from serving.errors import NoModel
from serving.live import FOLLOWED, LiveModel, SwapFailure
from serving.metrics import Metrics, create_metrics
from tests.serving.published import Publisher, draft

A_MOMENT = 1e-9  # between two looks: a failed checkpoint is tried again at once


def live_of(publisher: Publisher, watch_seconds: float = A_MOMENT) -> tuple[LiveModel, Metrics]:
    metrics = create_metrics()
    return LiveModel(publisher.registry, metrics, watch_seconds), metrics


def look(live: LiveModel) -> str | None:
    asyncio.run(live.look())
    return None if live.model is None else live.model.model_id


def swaps(metrics: Metrics, outcome: str) -> float | None:
    return metrics.registry.get_sample_value("hearth_model_swaps_total", {"stage": "production", "outcome": outcome})


def damage(publisher: Publisher, model_id: str) -> None:
    file = publisher.folder / "checkpoints" / model_id / "item_vectors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_without_a_promoted_checkpoint_there_is_no_model_and_no_failure(publisher: Publisher) -> None:
    live, _ = live_of(publisher)
    publisher.publish(draft(1), promote=False)

    assert look(live) is None
    assert live.failure is None
    with pytest.raises(NoModel):
        live.current()


def test_promotion_and_roll_back_are_followed(publisher: Publisher) -> None:
    live, metrics = live_of(publisher)
    first = publisher.publish(draft(1))
    assert look(live) == first
    second = publisher.publish(draft(2))
    assert look(live) == second
    publisher.registry.roll_back()
    assert look(live) == first
    assert swaps(metrics, "success") == 3
    info = [sample.labels["model_id"] for sample in metrics.model_info.collect()[0].samples]
    assert info == [first]


def test_a_look_without_news_keeps_the_very_model(publisher: Publisher) -> None:
    live, metrics = live_of(publisher)
    publisher.publish(draft(1))
    look(live)
    before = live.current()
    look(live)
    assert live.current() is before
    assert swaps(metrics, "success") == 1


def test_a_damaged_checkpoint_leaves_the_old_one_answering_until_it_is_rolled_back(publisher: Publisher) -> None:
    live, metrics = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    second = publisher.publish(draft(2))
    damage(publisher, second)

    assert look(live) == first
    assert live.failure == SwapFailure(second, "CorruptCheckpoint")
    assert swaps(metrics, "failure") == 1

    publisher.registry.roll_back()
    assert look(live) == first
    assert live.failure is None


def test_a_checkpoint_that_nobody_trusted_has_signed_is_not_served(publisher: Publisher) -> None:
    live, _ = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    stranger = SigningKey.generate()
    theirs = Registry(publisher.folder, TrustedKeys([stranger.public]))
    second = theirs.publish(draft(2), stranger).checkpoint_id
    theirs.promote(second)

    assert look(live) == first
    assert live.failure == SwapFailure(second, "UntrustedCheckpoint")


@pytest.mark.parametrize("content", ["", "[]", '{"production": 3}'])
def test_stages_that_cannot_be_read_leave_the_old_one_answering(publisher: Publisher, content: str) -> None:
    live, metrics = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    stages = publisher.folder / "stages.json"
    before = stages.read_bytes()
    stages.write_text(content)

    assert look(live) == first
    assert live.failure == SwapFailure(None, "CorruptCheckpoint")
    assert swaps(metrics, "failure") == 1
    stages.write_bytes(before)
    assert look(live) == first
    assert live.failure is None


def test_a_stage_that_names_no_checkpoint_leaves_the_old_one_answering(publisher: Publisher) -> None:
    live, _ = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    (publisher.folder / "stages.json").write_text(json.dumps({"production": "r0009-gone", "previous": []}))

    assert look(live) == first
    assert live.failure == SwapFailure("r0009-gone", "UnknownCheckpoint")


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"production":"\\ud800","previous":[]}', b'{"production": 5, "previous": []}', b'["r0001-aa"]'],
    ids=lambda content: repr(content)[:40],
)
def test_stages_that_are_none_leave_the_old_one_answering_and_nothing_of_them_is_told(
    publisher: Publisher, content: bytes
) -> None:
    live, _ = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    (publisher.folder / "stages.json").write_bytes(content)

    assert look(live) == first
    assert live.failure == SwapFailure(None, "CorruptCheckpoint")


def test_stages_in_a_fifo_keep_no_look_waiting(publisher: Publisher) -> None:
    live, _ = live_of(publisher)
    first = publisher.publish(draft(1))
    look(live)
    (publisher.folder / "stages.json").unlink()
    os.mkfifo(publisher.folder / "stages.json")

    assert look(live) == first
    assert live.failure == SwapFailure(None, "CorruptCheckpoint")


class AilingRegistry(Registry):
    """A registry that fails of something that nobody foresaw, the first few times it is looked at."""

    failures = 3

    def stages(self) -> Stages:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("nobody foresaw this")
        return super().stages()


@pytest.mark.anyio
async def test_the_watch_outlives_an_error_that_nobody_foresaw_and_waits_longer_each_time(publisher: Publisher) -> None:
    first = publisher.publish(draft(1))
    metrics = create_metrics()
    live = LiveModel(AilingRegistry(publisher.folder, TrustedKeys([publisher.key.public])), metrics, 0.05)
    failures, begun = set(), time.monotonic()
    async with asyncio.timeout(20.0), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(live.watch())
        while live.model is None:
            failures.add(live.failure)
            await asyncio.sleep(0.001)
        watch.cancel()

    assert time.monotonic() - begun > 0.1 + 0.2 + 0.4
    assert live.current().model_id == first
    assert SwapFailure(None, "ZeroDivisionError") in failures
    assert swaps(metrics, "failure") == 3
    assert live.failure is None


def test_a_failed_checkpoint_is_not_read_again_at_every_look_but_another_one_is(publisher: Publisher) -> None:
    live, metrics = live_of(publisher, watch_seconds=3600.0)
    second = publisher.publish(draft(2))
    damage(publisher, second)
    look(live)
    look(live)
    assert swaps(metrics, "failure") == 1
    third = publisher.publish(draft(3))
    assert look(live) == third


def test_a_failed_checkpoint_is_served_once_it_is_whole(publisher: Publisher) -> None:
    live, _ = live_of(publisher)
    first = publisher.publish(draft(1))
    damage(publisher, first)
    assert look(live) is None
    damage(publisher, first)  # the same bit once more: it is whole again
    assert look(live) == first
    assert live.failure is None


def test_the_shadow_is_followed_beside_production_and_goes_when_it_leaves_its_stage(publisher: Publisher) -> None:
    live, metrics = live_of(publisher)
    shadow = LiveModel(publisher.registry, metrics, A_MOMENT, stage="shadow")
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    assert (look(live), look(shadow)) == (first, None)
    publisher.registry.promote(second, "shadow")
    assert (look(live), look(shadow)) == (first, second)
    stages = {tuple(sorted(sample.labels.items())) for sample in metrics.model_info.collect()[0].samples}
    assert stages == {
        (("model_id", first), ("stage", "production")),
        (("model_id", second), ("stage", "shadow")),
    }
    publisher.registry.promote(second)
    assert (look(live), look(shadow)) == (second, None)
    assert [sample.labels["stage"] for sample in metrics.model_info.collect()[0].samples] == ["production"]


class CountingRegistry(Registry):
    """A registry that knows what was loaded from it."""

    def __init__(self, publisher: Publisher) -> None:
        super().__init__(publisher.folder, TrustedKeys([publisher.key.public]))
        self.loaded: list[str] = []

    def load(self, checkpoint_id: str) -> Checkpoint:
        self.loaded.append(checkpoint_id)
        return super().load(checkpoint_id)


@pytest.mark.parametrize("production_looks_first", [True, False])
def test_a_model_that_comes_from_the_shadow_into_production_is_not_loaded_again(
    publisher: Publisher,
    production_looks_first: bool,  # noqa: FBT001 - a case
) -> None:
    registry, metrics = CountingRegistry(publisher), create_metrics()
    live, shadow = (LiveModel(registry, metrics, A_MOMENT, stage=stage) for stage in FOLLOWED)
    live.beside, shadow.beside = shadow, live
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    publisher.registry.promote(second, "shadow")
    assert (look(live), look(shadow)) == (first, second)
    tried = shadow.current()
    publisher.registry.promote(second)
    for one in (live, shadow) if production_looks_first else (shadow, live):
        look(one)
    assert live.current() is tried
    assert look(shadow) is None
    assert registry.loaded == [first, second]


def test_a_model_whose_promotion_production_cannot_follow_yet_stays_on_trial_and_no_other_does(
    publisher: Publisher,
) -> None:
    live, metrics = live_of(publisher)
    shadow = LiveModel(publisher.registry, metrics, A_MOMENT, stage="shadow")
    live.beside, shadow.beside = shadow, live
    second = publisher.publish(draft(2), promote=False)
    publisher.registry.promote(second, "shadow")
    assert look(shadow) == second
    publisher.publish(draft(3))
    publisher.registry.promote(second, "candidate")
    assert look(shadow) is None
    publisher.registry.promote(second, "shadow")
    assert look(shadow) == second
    publisher.registry.promote(second)
    assert [look(shadow), look(shadow), look(live), look(shadow)] == [second, second, second, None]
