"""Models get their indexes beside the requests, and until then the exact one answers."""

import asyncio
import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from serving.indexes.exact import ExactIndex
from serving.indexes.int8 import Int8Index
from serving.indexes.inverted import InvertedIndex
from serving.indexes.latest import LatestIndex
from serving.indexing import GivenUp, IndexSettings, index_model, keep_indexed
from serving.made_up_people import queries_by_kind
from serving.model import ServingModel, build_model
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started

ITEMS = 4_000


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    publisher = Publisher(tmp_path_factory.mktemp("indexing"))
    publisher.publish(draft(1, items=ITEMS))
    return publisher


@pytest.fixture
def model(published: Publisher) -> ServingModel:
    return build_model(published.registry.load(published.registry.production()))


def latest(model: ServingModel) -> LatestIndex:
    assert isinstance(model.everything.index, LatestIndex)
    return model.everything.index


def maps(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]


async def settled(model: ServingModel) -> None:
    async with asyncio.timeout(60):
        while not latest(model).is_settled:  # noqa: ASYNC110 - the thread that builds sets no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("kind", "expected"), [("int8", Int8Index), ("inverted", InvertedIndex), ("auto", ExactIndex)])
def test_a_model_answers_exactly_until_its_index_is_built(model: ServingModel, kind: str, expected: type) -> None:
    assert isinstance(latest(model).answering, ExactIndex)
    index_model(model, IndexSettings(kind))  # type: ignore[arg-type]  # a kind
    assert isinstance(latest(model).answering, expected)
    assert latest(model).is_settled
    query, eligible = queries_by_kind(model, model.everything)[0][0], np.ones(ITEMS, np.bool_)
    exact = ExactIndex(model.everything.vectors).retrieve(query, 10, eligible)
    found = model.everything.closest(query, 10, eligible, "blended")
    assert len(set(found.places.tolist()) & set(exact.places.tolist())) >= 9


def test_an_index_is_built_once_for_a_folder_and_mapped_by_whoever_comes_next(
    published: Publisher, tmp_path: Path
) -> None:
    checkpoint = published.registry.load(published.registry.production())
    settings = IndexSettings("inverted", folder=tmp_path)
    built = []

    def between() -> None:
        built.append(1)

    first = build_model(checkpoint, tmp_path)
    index_model(first, settings, between)
    assert built
    built.clear()
    second = build_model(checkpoint, tmp_path)
    index_model(second, settings, between)
    assert not built
    assert isinstance(latest(second).answering, InvertedIndex)
    for what in ("vectors.npy", "0.codes"):
        assert len([line for line in maps(tmp_path) if what in line]) >= 2  # of each model
    assert latest(first).answering.effort == latest(second).answering.effort  # type: ignore[attr-defined]  # both inverted
    assert not second.everything.vectors.flags.writeable


def test_indexes_of_another_recall_are_built_anew(model: ServingModel, tmp_path: Path) -> None:
    efforts = []
    for recall in (0.5, 0.999):
        index_model(model, IndexSettings("inverted", recall, tmp_path))
        efforts.append(latest(model).answering.effort)  # type: ignore[attr-defined]  # it is inverted
    assert efforts[0] < efforts[1]


def test_requests_go_on_while_an_index_is_built_and_the_thread_steps_back_for_them(model: ServingModel) -> None:
    async def run() -> tuple[int, set[int]]:
        seen = set()
        keeping = asyncio.create_task(keep_indexed(lambda: (None, model), IndexSettings("inverted"), 0.01))
        turns = 0
        while not latest(model).is_settled:
            await asyncio.sleep(0.002)
            turns += 1
            builders = [one for one in threading.enumerate() if one.name.startswith("indexing")]
            seen |= {os.getpriority(os.PRIO_PROCESS, one.native_id or 0) for one in builders}
        keeping.cancel()
        return turns, seen

    turns, seen = asyncio.run(run())
    assert turns > 10
    assert max(seen) > os.getpriority(os.PRIO_PROCESS, 0)
    assert isinstance(latest(model).answering, InvertedIndex)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_indexes_that_cannot_be_kept_are_used_all_the_same(
    model: ServingModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert index_model(model, IndexSettings("int8", folder=tmp_path / "file")) == ["int8"]
    assert isinstance(latest(model).answering, Int8Index)
    assert warnings(caplog) == ["indexes are not kept: this process has them for itself"]


def test_where_there_is_no_memory_for_an_index_the_exact_one_goes_on_and_the_log_says_so(
    model: ServingModel, caplog: pytest.LogCaptureFixture
) -> None:
    def models() -> tuple[ServingModel]:
        if threading.current_thread().name.startswith("indexing"):
            raise MemoryError
        return (model,)

    async def run() -> None:
        keeping = asyncio.create_task(keep_indexed(models, IndexSettings("int8"), 0.01))
        await settled(model)
        keeping.cancel()

    asyncio.run(run())
    assert isinstance(latest(model).answering, ExactIndex)
    assert warnings(caplog) == ["no index built, the exact one goes on answering"]


def test_nobody_waits_for_the_index_of_a_model_that_went_or_of_a_server_that_ends(model: ServingModel) -> None:
    def gone() -> None:
        raise GivenUp

    with pytest.raises(GivenUp):
        index_model(model, IndexSettings("inverted"), gone)
    assert not latest(model).is_settled

    async def run() -> None:
        keeping = asyncio.create_task(keep_indexed(lambda: (model,), IndexSettings("inverted"), 0.01))
        await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.wait([keeping])

    asyncio.run(run())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("indexing")]


def test_queries_are_those_of_people_who_met_items(model: ServingModel) -> None:
    kinds = queries_by_kind(model, model.everything)
    assert len(kinds) >= 5
    for queries in kinds:
        assert queries.shape == (300, model.dim + 1)
        assert queries.dtype == np.float32
        assert np.isfinite(queries).all()
        assert len(np.unique(queries, axis=0)) > 200


def test_a_server_builds_the_index_that_it_is_told_to_and_keeps_it(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1, items=ITEMS))
    config = config_of(publisher, index="int8", index_folder=tmp_path / "indexes")
    for _ in range(2):
        with started(config, tmp_path) as server:
            server.serves(model_id)
            assert server.logged("indexed")[0]["indexes"] == ["int8"]
            assert len(server.ask(session_events=[{"item_id": "item-3"}], k=10)["items"]) == 10
    kept = {file.name for file in (tmp_path / "indexes").iterdir()}
    assert kept == {f"{model_id}.vectors", f"{model_id}.int8.0.99.2"}


def test_a_server_whose_index_folder_cannot_be_written_answers_from_its_own_memory(
    publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    model_id = publisher.publish(draft(1, items=ITEMS))
    config = config_of(publisher, index="int8", index_folder=tmp_path / "file" / "indexes")
    with started(config, tmp_path) as server:
        server.serves(model_id)
        assert server.logged("vectors are not shared: this process has them for itself")
        assert server.logged("indexed")[0]["indexes"] == ["int8"]
        assert len(server.ask(session_events=[{"item_id": "item-3"}], k=10)["items"]) == 10
