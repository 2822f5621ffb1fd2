"""Who judges, and by what scores are multiplied."""

import numpy as np
import pytest
from pydantic import ValidationError

from feature_store.arrays import Float64Array
from feature_store.item_schemas import Article, PlainItem, StoredItem
from serving.model import ServingModel
from serving.placements.settings import Placement
from serving.ranking import value_factors
from serving.recommend import recommend
from serving.request import RecommendationRequest
from tests.serving.published import popular
from tests.serving.stocked import NOW, content_of, ids, model_of, stocked

HOUR = 3600.0
CONTENT = content_of("news")
BEST = [item_id for item_id, _ in popular(CONTENT, 60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("model"), CONTENT)


def article(item_id: str, age_hours: float = 0.0, **fields: object) -> Article:
    values = {"item_id": item_id, "vertical": "news", "published": NOW - age_hours * HOUR, **fields}
    return Article.model_validate(values)


def everything(**ages: float) -> list[StoredItem]:
    """All that the model knows, by popularity; further ages by that rank, as `n7`."""
    return [article(item_id, ages.get(f"n{rank}", 0.0)) for rank, item_id in enumerate(BEST)]


def factors(model: ServingModel, items: list[StoredItem], **settings: object) -> dict[str, float]:
    view = stocked(model, "news", items, **settings)
    places = view.assortment.places(item.item_id for item in items)
    found: Float64Array = value_factors(view, places)
    return {view.assortment.item_id(place): float(factor) for place, factor in zip(places, found, strict=True)}


def test_a_score_halves_in_a_half_life_from_the_time_an_article_was_published(model: ServingModel) -> None:
    items = [article(f"item-{n}", age) for n, age in enumerate([0.0, 6.0, 12.0, 3.0])]
    found = factors(model, items, half_life_hours=6)
    assert found == pytest.approx({"item-0": 1.0, "item-1": 0.5, "item-2": 0.25, "item-3": 0.5**0.5})


def test_very_old_articles_still_have_a_score_and_none_is_raised_for_being_ahead_of_its_time(
    model: ServingModel,
) -> None:
    items = [article("item-0", 1e5), article("item-1", -1.0)]
    assert factors(model, items, half_life_hours=1) == {"item-0": 2.0**-60, "item-1": 1.0}


def test_what_nobody_gave_a_time_does_not_age(model: ServingModel) -> None:
    assert factors(model, [PlainItem(item_id="item-0", vertical="news")], half_life_hours=1) == {"item-0": 1.0}


def test_boosts_in_force_multiply(model: ServingModel) -> None:
    items = [article("item-0", topic="sport", source="a"), article("item-1", topic="sport"), article("item-2")]
    rules = [
        {"when": {"topic": ["sport"]}, "then": "boost", "factor": 2.0},
        {"when": {"source": ["a"]}, "then": "boost", "factor": 0.25},
        {"when": {"source": ["a"]}, "then": "boost", "factor": 9.0, "ends": NOW},
    ]
    assert factors(model, items, rules=rules) == {"item-0": 0.5, "item-1": 2.0, "item-2": 1.0}


def test_the_older_of_two_comes_behind_the_newer(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(60), None, stocked(model, "news", everything(n0=400.0), half_life_hours=6))
    assert ids(ranked) == [*BEST[1:], BEST[0]]


def test_scores_below_nought_fall_too_with_age_and_rise_with_a_boost(model: ServingModel) -> None:
    """A person of one half of the axes, to whom the other half scores below 0."""
    vector = np.array([1, 1, 1, 1, -1, -1, -1, -1], np.float32)
    request = RecommendationRequest(60, query_vector=vector, checkpoint_id=model.model_id)
    scores = CONTENT.item_vectors @ vector
    worst = int(np.argsort(-scores)[40])
    assert scores[worst] < 0
    boost = {"when": {"item_id": [f"item-{worst}"]}, "then": "boost"}
    plain, raised, lowered = (
        ids(recommend(request, None, stocked(model, "news", everything(), rules=rules)))
        for rules in ([], [{**boost, "factor": 5.0}], [{**boost, "factor": 0.01}])
    )
    assert plain.index(f"item-{worst}") == 40
    assert raised.index(f"item-{worst}") < 40
    assert lowered.index(f"item-{worst}") == 59


def test_the_only_source_is_the_judge(model: ServingModel) -> None:
    session = RecommendationRequest(3, session_item_ids=("item-4",))
    pins = [{"kind": "pinned", "items": ["item-7", "item-3", "item-9"]}]
    assert ids(recommend(session, None, stocked(model, "news", everything(), sources=pins))) == pins[0]["items"]
    found = recommend(session, None, stocked(model, "news", everything(), sources=[{"kind": "popular"}]))
    assert ids(found) == [item_id for item_id in BEST if item_id != "item-4"][:3]
    assert {item.source for item in found.items} == {"popular"}


def test_of_several_the_persons_own_judges_unless_the_placement_names_another(model: ServingModel) -> None:
    session = RecommendationRequest(3, session_item_ids=("item-4",))
    own = ids(recommend(session, None, stocked(model, "news", everything())))
    for settings, expected in (({}, own), ({"rank_by": "popular"}, [one for one in BEST if one != "item-4"][:3])):
        sources = [{"kind": "personal"}, {"kind": "popular"}]
        assert (
            ids(recommend(session, None, stocked(model, "news", everything(), sources=sources, **settings))) == expected
        )


def test_a_judge_that_proposed_nothing_leaves_it_to_the_persons_own(model: ServingModel) -> None:
    request = RecommendationRequest(3, like_item_id="nobody-knows-it")
    sources = [{"kind": "similar"}, {"kind": "popular"}]
    ranked = recommend(request, None, stocked(model, "news", everything(n0=400.0), sources=sources, half_life_hours=6))
    assert ids(ranked) == BEST[1:4]


def test_what_the_model_does_not_know_comes_behind_and_says_that_it_has_no_score(model: ServingModel) -> None:
    items = [*everything()[:2], article("new-a"), article("new-b")]
    ranked = recommend(RecommendationRequest(9), None, stocked(model, "news", items))
    assert [(item.item_id, item.score is None) for item in ranked.items] == [
        (BEST[0], False),
        (BEST[1], False),
        ("new-b", True),
        ("new-a", True),
    ]
    assert [item.source for item in ranked.items] == ["popular", "popular", "fresh", "fresh"]


def test_a_placement_is_ranked_by_a_source_that_it_has() -> None:
    with pytest.raises(ValidationError, match="similar is none of them"):
        Placement.model_validate({"rank_by": "similar"})


def test_what_is_boosted_as_far_as_may_be_stands_first_and_what_goes_beyond_is_refused(model: ServingModel) -> None:
    last = BEST[-1]
    rules = [{"when": {"item_id": last}, "then": "boost", "factor": factor} for factor in (1e60, 1e40)]
    view = stocked(model, "news", everything(), rules=rules)
    ranked = recommend(RecommendationRequest(3), None, view)
    assert (ids(ranked)[0], np.isfinite(ranked.items[0].score or np.nan)) == (last, True)
    for factor in (1.1, 1 / 1.1):
        with pytest.raises(ValidationError, match="multiply a score by at most 1e100"):
            Placement.model_validate({"rules": [*rules, {**rules[0], "factor": factor}]})
