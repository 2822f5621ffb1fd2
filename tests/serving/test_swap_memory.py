"""What a swap leaves behind: nothing of the model before, and nothing for the garbage collector to look through."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from serving.live import LiveModel
from serving.metrics import create_metrics
from tests.serving.published import Publisher, draft


@pytest.fixture
def without_collections() -> Iterator[None]:
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("without_collections")
def test_the_model_before_is_let_go_at_once_without_a_collection(publisher: Publisher) -> None:
    live = LiveModel(publisher.registry, create_metrics(), 1.0)
    publisher.publish(draft(1))
    asyncio.run(live.look())
    assert live.model is not None
    before = weakref.ref(live.model.everything.vectors)
    shown = weakref.ref(live.stock.shown[None])
    publisher.publish(draft(2))
    asyncio.run(live.look())
    assert before() is None
    assert shown() is None


@pytest.mark.usefixtures("without_collections")
def test_a_model_that_answers_is_not_looked_through_for_garbage(publisher: Publisher) -> None:
    live = LiveModel(publisher.registry, create_metrics(), 1.0)
    publisher.publish(draft(1))
    asyncio.run(live.look())
    parts = {id(live.model), id(live.stock.shown[None]), id(live.stock.shown[None]._places)}
    assert not any(id(one) in parts for one in gc.get_objects())


@pytest.mark.usefixtures("without_collections")
def test_nothing_of_a_model_is_left_that_was_taken_out_of_the_shadow(publisher: Publisher) -> None:
    shadow = LiveModel(publisher.registry, create_metrics(), 1.0, stage="shadow")
    publisher.publish(draft(1))
    tried = publisher.publish(draft(2), promote=False)
    publisher.registry.promote(tried, "shadow")
    asyncio.run(shadow.look())
    assert shadow.model is not None
    vectors = weakref.ref(shadow.model.everything.vectors)
    publisher.registry.promote(tried, "candidate")
    asyncio.run(shadow.look())
    assert shadow.model is None
    assert vectors() is None
