"""The probe of the index: what an index loses is what the recall falls by."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.arrays import BoolArray, Float32Array
from feature_store.errors import BadInput
from feature_store.item_schemas import PlainItem
from serving.assortment.assortment import Assortment
from serving.candidates import Candidates
from serving.indexes.exact import ExactIndex
from serving.indexes.item_index import ItemIndex
from serving.metrics import Metrics, create_metrics
from serving.model import ServingModel
from serving.recall import Probed, RecallProbe, Retrieval, recall_of, retrieval_of
from serving.request import RecommendationRequest
from serving.shelf import Shelf
from serving.view import View
from tests.serving.published import Publisher, blended, draft, view_of
from tests.serving.running import config_of, started, until
from tests.serving.stocked import content_of, model_of, stocked

SEEN = ("item-2", "item-6")


class Lossy:
    """An index that never finds some of its items, and finds what it has in the right order."""

    def __init__(self, vectors: Float32Array, lost: list[int]) -> None:
        self._exact = ExactIndex(vectors)
        self._has = np.ones(len(vectors), np.bool_)
        self._has[lost] = False

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        return self._exact.retrieve(query, k, eligible & self._has)


class Broken:
    """An index that cannot answer."""

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        raise BadInput(f"not {query.shape}, {k} of {len(eligible)}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("recall"), draft(1))


def with_index(model: ServingModel, index: ItemIndex) -> View:
    """The view of a server whose model has that index."""
    view = view_of(model)
    shelf = replace(model.everything, index=index)
    shown = Assortment(shelf, model.checkpoint.vocabulary.item_ids, has_catalogue=False)
    return replace(view, assortment=shown)


def recalls(metrics: Metrics, model: ServingModel) -> tuple[float, float]:
    """How many replies were probed, and the sum of their recalls."""
    labels = {"placement": "home", "model_id": model.model_id}
    found = (metrics.registry.get_sample_value(f"hearth_index_recall_{name}", labels) for name in ("count", "sum"))
    return tuple(value or 0.0 for value in found)  # type: ignore[return-value] # two of them


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=30),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    st.integers(1, 12),
    st.data(),
)
def test_recall_falls_by_what_the_index_loses_and_not_by_which_of_two_equal_items_it_finds(
    items: list[tuple[int, int]], query: tuple[int, int], k: int, data: st.DataObject
) -> None:
    some = st.lists(st.integers(0, len(items) - 1), unique=True)
    lost, out = data.draw(some), data.draw(some)
    vectors = np.array(items, np.float32)
    eligible = np.ones(len(items), np.bool_)
    eligible[out] = False
    if not eligible.any():
        return
    shelf = Shelf.of(np.arange(len(items), dtype=np.int32), vectors, np.ones(len(items), np.float32))
    lossy = replace(shelf, index=Lossy(vectors, lost))

    by_place = {n: a * query[0] + b * query[1] for n, (a, b) in enumerate(items) if n not in out}
    best = sorted(by_place.values(), reverse=True)[:k]
    left = sorted((score for n, score in by_place.items() if n not in lost), reverse=True)[:k]
    found = recall_of(Retrieval(lossy, np.array(query, np.float32), k, max(k, 5), eligible))
    assert found == pytest.approx(sum(score >= best[-1] for score in left) / len(best))
    assert recall_of(Retrieval(shelf, np.array(query, np.float32), k, k, eligible)) == 1.0


def test_what_the_reply_excludes_is_no_loss_and_what_the_index_misses_is(model: ServingModel) -> None:
    best = [item_id for item_id, _ in blended(draft(1), list(SEEN), 12)]
    metrics = create_metrics()
    probe = RecallProbe(1.0, metrics)
    lost = [int(item_id.removeprefix("item-")) for item_id in (best[0], best[3], best[11])]
    view = with_index(model, Lossy(model.everything.vectors, lost))

    asked = RecommendationRequest(10, session_item_ids=SEEN)
    asyncio.run(probe.measure(Probed("home", asked, None, view)))
    assert recalls(metrics, model) == (1, pytest.approx(0.8))

    without = RecommendationRequest(10, session_item_ids=SEEN, exclude_item_ids=(best[0], best[1]))
    asyncio.run(probe.measure(Probed("home", without, None, view)))  # now the twelfth is among the best ten
    assert recalls(metrics, model) == (2, pytest.approx(0.8 + 0.8))


def test_the_index_is_asked_for_as_many_as_the_reply_has_asked_it_for(model: ServingModel) -> None:
    """Of an index that loses nothing at depth 300, and the second half of what it finds otherwise."""

    class Shallow:
        def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
            found = model.everything.index.retrieve(query, k, eligible)
            half = len(found) if k >= 300 else (k + 1) // 2
            return Candidates(found.places[:half], found.scores[:half], found.source)

    retrieval = retrieval_of(
        Probed("home", RecommendationRequest(10, session_item_ids=SEEN), None, with_index(model, Shallow()))
    )
    assert retrieval is not None
    assert recall_of(retrieval) == 1.0
    assert recall_of(replace(retrieval, depth=10)) == 0.5


def test_what_no_index_had_a_part_in_is_not_probed(model: ServingModel, tmp_path: Path) -> None:
    metrics, anybody = create_metrics(), RecommendationRequest(10)
    known = RecommendationRequest(10, session_item_ids=SEEN)
    films = model_of(tmp_path, content_of("films"))
    sold_out = stocked(films, "films", [])
    by_count = view_of(model, sources=({"kind": "popular"},))
    ads = view_of(model, "films", ads={"currency": "EUR"})
    for asked, view in ((anybody, view_of(model)), (known, by_count), (known, sold_out), (known, ads)):
        asyncio.run(RecallProbe(1.0, metrics).measure(Probed("home", asked, None, view)))
    assert recalls(metrics, model) == (0, 0)
    one = stocked(films, "films", [PlainItem(item_id="item-3", vertical="films")])
    found = retrieval_of(Probed("home", known, None, one))
    assert found is not None
    assert found.eligible.sum() == 1


def test_an_index_that_cannot_answer_ends_neither_the_probing_nor_the_server(
    model: ServingModel, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = create_metrics()
    probe = RecallProbe(1.0, metrics)
    asked = RecommendationRequest(10, session_item_ids=SEEN)

    broken, good = (Probed("home", asked, None, view) for view in (with_index(model, Broken()), view_of(model)))

    async def becomes(there: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not there():  # noqa: ASYNC110 - neither a log nor a metric sets an event
                await asyncio.sleep(0.001)

    async def run() -> None:
        running = asyncio.create_task(probe.run())
        assert probe.offer(broken)
        assert not probe.offer(good)  # one waits already
        await becomes(lambda: bool(caplog.records))
        assert probe.offer(good)
        await becomes(lambda: recalls(metrics, model)[0] == 1)
        running.cancel()

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["recall not probed"]
    assert recalls(metrics, model) == (1, 1.0)


@given(st.integers(0, 2**64))
@settings(max_examples=20)
def test_a_share_of_replies_is_probed_and_none_without_a_share(seed: int) -> None:
    random, metrics = np.random.default_rng(seed), create_metrics()
    ids = [random.bytes(16).hex() for _ in range(400)]
    chosen = sum(RecallProbe(0.25, metrics).probes(name) for name in ids)
    assert 100 - 52 < chosen < 100 + 52  # 6 standard deviations
    assert not any(RecallProbe(0.0, metrics).probes(name) for name in ids)
    assert all(RecallProbe(1.0, metrics).probes(name) for name in ids)


def test_a_server_tells_the_recall_of_each_placement_and_model(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1))
    config = config_of(publisher, recall_share=1.0, placements={"home": {}, "films": {"vertical": "films"}})
    with started(config, tmp_path) as server:
        server.serves(model_id)
        for number, placement in enumerate(("home", "films", "films", "home"), 1):
            server.recommend(placement, k=5, session_events=[{"item_id": item_id} for item_id in SEEN])
            server.recommend(placement, k=5)

            def probed() -> float:
                return sum(
                    server.metric(f'hearth_index_recall_count{{model_id="{model_id}",placement="{name}"}}')
                    for name in ("home", "films")
                )

            until(lambda probed=probed, number=number: probed() == number, server.log)
        for name in ("home", "films"):
            labels = f'model_id="{model_id}",placement="{name}"'
            assert server.metric(f"hearth_index_recall_sum{{{labels}}}") == 2.0
