"""What a checkpoint takes of memory: told before, near to what is measured, and refused where it is too much."""

import asyncio
import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from feature_store.blend import BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.registry import Registry
from serving.assortment.stock import Stock
from serving.errors import ModelTooLarge
from serving.headroom import ModelBytes, model_bytes, require_headroom
from serving.model import build_model
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started, until

MANY = draft(1, 40_000, 32)


def measured(registry: Registry, model_id: str) -> ModelBytes:
    """What it takes here, as Python's and numpy's allocations count."""
    gc.collect()
    tracemalloc.start()
    try:
        model = build_model(registry.load(model_id))
        shown = asyncio.run(Stock().for_model(model))
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
        assert len(shown[None]) == model.checkpoint.manifest.items
    finally:
        tracemalloc.stop()
    return ModelBytes(kept, most)


@pytest.mark.parametrize(
    "content",
    [
        MANY,
        replace(MANY, blend=BlendSettings(weight=0.0, people=100, discount=0.5)),
        replace(MANY, catalogues={"a": [(0, 10_000), (30_000, 40_000)], "b": [(10_000, 30_000)]}),
    ],
    ids=["blended", "discounted", "in pieces"],
)
def test_what_is_told_is_what_it_takes_and_hardly_more(publisher: Publisher, content: CheckpointDraft) -> None:
    model_id = publisher.publish(content)
    told, found = model_bytes(publisher.registry.manifest(model_id)), measured(publisher.registry, model_id)
    assert 0.95 * found.kept < told.kept < 1.3 * found.kept
    assert 0.95 * found.loading < told.loading < 1.3 * found.loading


def test_more_than_is_allowed_is_refused_with_both_figures(publisher: Publisher) -> None:
    manifest = publisher.registry.manifest(publisher.publish(draft(1)))
    takes = model_bytes(manifest).loading
    require_headroom(manifest, None)
    require_headroom(manifest, takes)
    with pytest.raises(ModelTooLarge) as refused:
        require_headroom(manifest, takes - 1)
    assert (refused.value.expected, refused.value.most) == (takes, takes - 1)
    for figure in (manifest.checkpoint_id, f"{takes:,}", f"{takes - 1:,}"):
        assert figure in str(refused.value)


def test_a_server_lists_what_models_take_and_takes_none_that_is_too_large(publisher: Publisher, tmp_path: Path) -> None:
    small, large = publisher.publish(draft(1)), publisher.publish(draft(2, items=600), promote=False)
    most = model_bytes(publisher.registry.manifest(small)).loading
    with started(config_of(publisher, max_model_bytes=most), tmp_path) as server:
        server.serves(small)
        listed = {model["model_id"]: model for model in server.client.get("/v1/models").json()["models"]}
        for model_id in (small, large):
            told = model_bytes(publisher.registry.manifest(model_id))
            assert (listed[model_id]["kept_bytes"], listed[model_id]["loading_bytes"]) == told
        for verb in ("promote", "shadow"):
            refused = server.client.post(f"/v1/models/{large}:{verb}", json={"reason": "larger"})
            assert (refused.status_code, refused.json()["type"]) == (409, "/problems/model-too-large")
            figures = {"expected_bytes": listed[large]["loading_bytes"], "max_model_bytes": most}
            assert figures.items() <= refused.json().items()
        assert publisher.registry.production() == small

        publisher.registry.promote(large)  # by somebody who asks another server, or none
        failure = {"model_id": large, "reason": "ModelTooLarge"}
        until(
            lambda: server.client.get("/readyz").json()["checks"]["model"].get("failure") == failure,
            server.log,
        )
        assert server.ask()["model_id"] == small
        assert f"{most:,}" in server.logged("model not swapped")[0]["detail"]
