"""Fresh items: which they are, and that what people want of them is found."""

from collections import Counter
from collections.abc import Sequence
from math import exp, lgamma, log

import numpy as np
import pytest

from feature_store.events import Event
from feature_store.item_schemas import Article, PlainItem, StoredItem
from serving.feedback import Feedback
from serving.model import ServingModel
from serving.recommend import recommend
from serving.request import RecommendationRequest
from tests.serving.stocked import NOW, content_of, ids, model_of, stocked

HOUR = 3600.0
PRIOR = {"prior_clicks": 1.0, "prior_shows": 10.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("news"), content_of("news", items=20))


def article(item_id: str, age_hours: float) -> Article:
    return Article(item_id=item_id, vertical="news", published=NOW - age_hours * HOUR)


def told(shows: dict[str, int], clicks: dict[str, int]) -> Feedback:
    feedback = Feedback()
    for kind, counts in (("impression", shows), ("click", clicks)):
        for item_id, count in counts.items():
            feedback.take([Event(f"{n}", f"{n}", item_id, kind, NOW, vertical="news") for n in range(count)], NOW)
    return feedback


def fresh(
    model: ServingModel,
    items: Sequence[StoredItem],
    k: int = 3,
    seed: int = 0,
    feedback: Feedback | None = None,
    **settings: object,
) -> list[str]:
    view = stocked(model, "news", items, seed=seed, feedback=feedback, sources=[{"kind": "fresh", **settings}])
    return [item.item_id for item in recommend(RecommendationRequest(k), None, view).items if item.source == "fresh"]


def test_with_an_age_it_is_what_appeared_since_then_known_to_the_model_or_not(model: ServingModel) -> None:
    items = [article("item-3", 5), article("item-4", 7), article("new", 5.9), article("old", 6.1)]
    assert sorted(fresh(model, items, 2, max_age_hours=6)) == ["item-3", "new"]


def test_without_an_age_it_is_what_the_model_does_not_know(model: ServingModel) -> None:
    items = [article("item-3", 5), article("new", 5), article("old", 500)]
    assert sorted(fresh(model, items, 2)) == ["new", "old"]


def test_what_has_no_time_is_fresh_where_the_model_does_not_know_it(model: ServingModel) -> None:
    items = [PlainItem(item_id="item-3", vertical="news"), PlainItem(item_id="new", vertical="news")]
    view = stocked(model, "news", items, sources=[{"kind": "fresh", "max_age_hours": 1}])
    ranked = recommend(RecommendationRequest(2), None, view)
    assert [(item.item_id, item.score is None) for item in ranked.items] == [("new", False), ("item-3", True)]


def test_the_same_seed_draws_the_same_and_others_something_else(model: ServingModel) -> None:
    items = [article(f"new-{n}", 1) for n in range(30)]
    lists = [fresh(model, items, 5, seed) for seed in (1, 1, 2, 2**127)]
    assert lists[0] == lists[1]
    assert len({tuple(one) for one in lists}) == 3


def log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def chance_above(a: int, b: int, c: int, d: int) -> float:
    """That Beta(a, b) is above Beta(c, d): a sum for whole numbers (Miller 2014, Bayesian A/B testing)."""
    terms = (log_beta(c + i, b + d) - log(b + i) - log_beta(1 + i, b) - log_beta(c, d) for i in range(a))
    return sum(exp(term) for term in terms)


def test_an_item_comes_first_as_often_as_its_click_rate_is_believed_to_be_the_best(model: ServingModel) -> None:
    feedback = told({"a": 30, "b": 12}, {"a": 6, "b": 1})
    items, draws = [article("a", 1), article("b", 1)], 1500
    first = Counter(fresh(model, items, 1, seed, feedback, **PRIOR)[0] for seed in range(draws))
    expected = chance_above(1 + 6, 9 + 24, 1 + 1, 9 + 11)
    assert 0.6 < expected < 0.9
    assert first["a"] / draws == pytest.approx(expected, abs=4 * (expected * (1 - expected) / draws) ** 0.5)


def test_the_score_is_the_rate_that_was_drawn_which_is_on_average_what_is_believed(model: ServingModel) -> None:
    """Nine clicks of ten shows, after one of ten that was taken for granted: a half."""
    feedback, sources = told({"a": 10}, {"a": 9}), [{"kind": "fresh", **PRIOR}]
    views = [stocked(model, "news", [article("a", 1)], seed=n, feedback=feedback, sources=sources) for n in range(400)]
    scores = [recommend(RecommendationRequest(1), None, view).items[0].score for view in views]
    assert np.mean([score for score in scores if score is not None]) == pytest.approx(0.5, abs=0.03)
    assert np.std(scores) == pytest.approx((0.25 / 21) ** 0.5, rel=0.2)


def test_of_what_nobody_has_clicked_the_rates_are_those_of_the_prior_and_of_its_shows(model: ServingModel) -> None:
    """Of Beta(1, b) a number is below x with 1 - (1 - x)^b; what two items draw has nothing to do with each other."""
    feedback, sources = told({"seen": 30}, {}), [{"kind": "fresh", **PRIOR}]
    items = [article("new", 1), article("seen", 1)]
    drawn: dict[str, list[float]] = {"new": [], "seen": []}
    for seed in range(2000):
        view = stocked(model, "news", items, seed=seed, feedback=feedback, sources=sources)
        for item in recommend(RecommendationRequest(2), None, view).items:
            drawn[item.item_id].append(item.score or 0.0)
    for rates, b in ((drawn["new"], 9), (drawn["seen"], 39)):
        levels = 1 - (1 - np.sort(rates)) ** b
        assert np.abs(levels - np.arange(0.5, 2000) / 2000).max() < 1.95 / 2000**0.5  # Kolmogorov: 1 in 1,000
    assert abs(np.corrcoef(drawn["new"], drawn["seen"])[0, 1]) < 0.08


def test_what_people_click_is_found_among_many_that_nobody_was_shown(model: ServingModel) -> None:
    """Ten articles, of which one is clicked by every third person and the others by every fiftieth."""
    random, feedback, items = np.random.default_rng(4), Feedback(), [article(f"new-{n}", 1) for n in range(10)]
    shown = []
    for step in range(700):
        (item_id,) = fresh(model, items, 1, step, feedback, **PRIOR)
        shown.append(item_id)
        kinds = ["impression"]
        if random.random() < (0.33 if item_id == "new-7" else 0.02):
            kinds.append("click")
        feedback.take([Event(f"{step}-{kind}", f"{step}", item_id, kind, NOW, vertical="news") for kind in kinds], NOW)
    assert Counter(shown[:200]).keys() == {f"new-{n}" for n in range(10)}
    assert Counter(shown[400:])["new-7"] > 240


def test_of_very_many_the_latest_are_looked_at(model: ServingModel) -> None:
    items = [article(f"new-{n}", n / 100) for n in reversed(range(5003))]
    found = fresh(model, items, 5000, max_age_hours=100)
    assert set(found) == {f"new-{n}" for n in range(5000)}


def test_what_expired_or_was_read_is_not_fresh_either(model: ServingModel) -> None:
    expired = Article(item_id="expired", vertical="news", published=NOW - HOUR, expires=NOW)
    view = stocked(model, "news", [expired, article("read", 1), article("new", 1)], sources=[{"kind": "fresh"}])
    ranked = recommend(RecommendationRequest(5, session_item_ids=("read",)), None, view)
    assert ids(ranked) == ["new"]
