"""What placements really show, measured as replies are given."""

import numpy as np
import pytest

from feature_store.item_schemas import Article
from serving.assortment.assortment import Assortment
from serving.metrics import at_hand, create_metrics
from serving.model import build_model
from serving.online import Online, mean_cosine
from serving.placements.settings import Placement
from serving.recommend import recommend
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.published import Publisher, draft, view_of


def test_coverage_diversity_and_freshness_of_lists(publisher: Publisher) -> None:
    model = build_model(publisher.registry.load(publisher.publish(draft(1))))
    metrics = create_metrics()
    online = Online(metrics)
    labels = {"placement": "home", "model_id": model.model_id}

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    view = view_of(model)
    first = recommend(RecommendationRequest(10, session_item_ids=("item-2", "item-6")), None, view)
    other = recommend(RecommendationRequest(10, session_item_ids=("item-3",)), None, view)
    for ranked in (first, other, first):
        online.take("home", view, ranked)
    different = {item.item_id for ranked in (first, other) for item in ranked.items}
    assert (value("hearth_shown_items"), value("hearth_catalogue_items")) == (len(different), 60)
    assert value("hearth_lists_total") == 3
    expected = 0.0
    for ranked in (first, other, first):
        rows = [int(item.item_id.removeprefix("item-")) for item in ranked.items]
        vectors = draft(1).item_vectors[rows].astype(np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = (vectors @ vectors.T)[~np.eye(len(rows), dtype=bool)]
        expected += 1 - float(cosines.mean())
    assert value("hearth_list_diversity_sum") == pytest.approx(expected, rel=1e-4)
    assert value("hearth_list_age_hours_count") is None

    assortment = Assortment(model.everything, model.checkpoint.vocabulary.item_ids, has_catalogue=True)
    assortment.put(Article(item_id=f"item-{n}", vertical="news", published=float(3600 * n)) for n in range(4))
    news = View(Placement(), model, assortment, now=36_000.0)
    online.take("home", news, recommend(RecommendationRequest(10), None, news))
    assert value("hearth_list_age_hours_sum") == pytest.approx((10 + 9 + 8 + 7) / 4)
    empty = View(Placement(), model, assortment, now=-1.0)
    online.take("home", empty, recommend(RecommendationRequest(10), None, empty))
    assert value("hearth_empty_lists_total") == 1


def test_models_that_came_before_are_forgotten_but_for_the_last(publisher: Publisher) -> None:
    metrics = create_metrics()
    online = Online(metrics)
    for seed in (1, 2, 3):
        view = view_of(build_model(publisher.registry.load(publisher.publish(draft(seed)))))
        online.take("home", view, recommend(RecommendationRequest(3), None, view))
    kept = [sample.labels["model_id"][:5] for sample in metrics.shown_items.collect()[0].samples]
    assert kept == ["r0002", "r0003"]


def test_a_child_at_hand_is_the_one_that_is_shown() -> None:
    metrics = create_metrics()
    lists = at_hand(metrics.lists)
    for _ in range(2):
        lists("home", "r1").inc()
    metrics.lists.labels("home", "r1").inc()
    assert metrics.registry.get_sample_value("hearth_lists_total", {"placement": "home", "model_id": "r1"}) == 3
    assert metrics.registry.get_sample_value("hearth_lists_total", {"placement": "home", "model_id": "r2"}) is None


def test_an_item_whose_vector_is_zero_is_like_none() -> None:
    vectors = np.array([[3.0, 4.0, 9.0], [0.0, 0.0, 1.0], [0.6, 0.8, -9.0], [1.0, 0.0, 0.0]], np.float32)
    lengths = np.linalg.norm(vectors[:, :2], axis=1).astype(np.float32)
    cosines = (1.0 + 0.6 + 0.6) / 6  # of three pairs; three more are with the second
    assert mean_cosine(vectors, lengths, 2, np.arange(4, dtype=np.int32)) == pytest.approx(cosines)
