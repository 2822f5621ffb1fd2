"""Why an item stands in a list, against what is known of the world."""

import numpy as np
import pytest

from feature_store.item_schemas import Article
from serving.assortment.assortment import Assortment
from serving.model import ServingModel, build_model
from serving.placements.settings import Placement
from serving.recommend import recommend
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.published import ALPHA, REGULARIZATION, Publisher, draft, view_of
from tests.serving.running import Server

CONTENT = draft(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    publisher = Publisher(tmp_path_factory.mktemp("model"))
    return build_model(publisher.registry.load(publisher.publish(CONTENT)))


def test_what_was_met_is_named_with_its_part_of_the_score(model: ServingModel) -> None:
    """Items of even number are alike, and so are those of odd number."""
    request = RecommendationRequest(20, session_item_ids=("item-2", "item-6", "item-3"), explain=True)
    ranked = recommend(request, None, view_of(model))
    vectors = CONTENT.item_vectors.astype(np.float64)
    history = [2, 3, 6]
    system = ALPHA * vectors.T @ vectors + REGULARIZATION * (3 + ALPHA * 60) * np.eye(8)
    system += vectors[history].T @ vectors[history]
    for item in ranked.items:
        row = int(item.item_id.removeprefix("item-"))
        parts = np.maximum(vectors[row] @ np.linalg.solve(system, vectors[history].T), 0)
        alike = [reason for reason in item.reasons if reason.kind == "like"]
        expected = sorted(zip(parts / parts.sum(), history, strict=True), reverse=True)
        assert [reason.item_id for reason in alike] == [f"item-{met}" for share, met in expected if share >= 0.05]
        assert [reason.share for reason in alike] == pytest.approx([s for s, _ in expected if s >= 0.05], rel=1e-3)
        assert alike[0].item_id in ({"item-2", "item-6"} if row % 2 == 0 else {"item-3"})


def test_each_source_gives_its_own_reason(model: ServingModel) -> None:
    popular = recommend(RecommendationRequest(3, explain=True), None, view_of(model))
    assert [(item.reasons[0].kind, item.reasons[0].people) for item in popular.items] == [
        ("popular", int(CONTENT.item_counts[int(item.item_id.removeprefix("item-"))])) for item in popular.items
    ]
    pinned = view_of(model, sources=({"kind": "pinned", "items": ("item-9",), "share": 1.0},))
    assert recommend(RecommendationRequest(1, explain=True), None, pinned).items[0].reasons[0].kind == "pinned"
    similar = view_of(model, sources=({"kind": "similar"},))
    asked = RecommendationRequest(2, like_item_id="item-4", explain=True)
    first = recommend(asked, None, similar).items[0]
    assert (first.reasons[0].kind, first.reasons[0].item_id) == ("similar", "item-4")

    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put([Article(item_id="new", vertical="news", published=1000.0)])
    fresh = View(Placement.model_validate({"sources": [{"kind": "fresh"}]}), model, assortment, now=8200.0)
    [item] = recommend(RecommendationRequest(1, explain=True), None, fresh).items
    assert (item.reasons[0].kind, item.reasons[0].hours) == ("fresh", 2.0)


def test_nothing_is_explained_unasked_and_a_vector_alone_says_nothing_of_its_history(model: ServingModel) -> None:
    assert all(not item.reasons for item in recommend(RecommendationRequest(5), None, view_of(model)).items)
    vector = RecommendationRequest(5, query_vector=np.ones(8, np.float32), checkpoint_id=model.model_id, explain=True)
    ranked = recommend(vector, None, view_of(model))
    assert {reason.kind for item in ranked.items for reason in item.reasons} <= {"popular"}


def test_reasons_come_over_http_where_they_are_asked_for(server: Server) -> None:
    asked = {"session_events": [{"item_id": "item-2"}], "k": 2}
    explained = server.ask(**asked, explain=True)["items"]
    assert all(
        any(reason == {"kind": "like", "item_id": "item-2", "share": 1.0} for reason in item["reasons"])
        for item in explained
    )
    assert all("reasons" not in item for item in server.ask(**asked)["items"])
