"""What may be in a list at all, rule by rule."""

import pytest

from feature_store.item_schemas import Article, Product, StoredItem
from serving.eligibility import eligible_places
from serving.model import ServingModel
from serving.profile import profile_of
from serving.request import RecommendationRequest
from tests.serving.stocked import NOW, content_of, model_of, person, stocked

SHOP = "e-commerce"
GOODS = [
    Product(item_id="item-0", vertical=SHOP, categories=("tea", "drinks"), stock=3),
    Product(item_id="item-1", vertical=SHOP, categories=("pots",), stock=0),
    Product(item_id="item-2", vertical=SHOP, categories=("tea",), brand="best"),
    Product(item_id="new", vertical=SHOP, categories=("pots", "tea")),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("model"), content_of(SHOP, items=4))


def eligible(
    model: ServingModel,
    *met: str,
    items: list[StoredItem] | None = None,
    hidden: tuple[str, ...] = (),
    request: RecommendationRequest | None = None,
    **settings: object,
) -> set[str]:
    view = stocked(model, SHOP, items or GOODS, **settings)
    request = request or RecommendationRequest(1, user_id="anna")
    profile = profile_of(request, person(*met, hidden=hidden), model)
    found = eligible_places(view, request, profile)
    assert len(found) == len(view.assortment)
    return {view.assortment.item_id(place) for place in found.nonzero()[0]}


def test_what_the_model_knows_and_the_catalogue_does_not_have_is_not_shown(model: ServingModel) -> None:
    assert "item-3" in model.checkpoint.vocabulary
    assert eligible(model) == {"item-0", "item-2", "new"}


def test_a_placement_may_show_what_is_sold_out(model: ServingModel) -> None:
    assert eligible(model, in_stock=False) == {"item-0", "item-1", "item-2", "new"}


def test_a_placement_shows_what_it_is_about(model: ServingModel) -> None:
    assert eligible(model, where={"categories": ["pots"]}) == {"new"}
    assert eligible(model, where={"categories": ["tea"], "brand": ["best"]}) == {"item-2"}
    assert eligible(model, where={"a-field-that-no-item-has": ["tea"]}) == set()


def test_rules_hide_in_their_time_alone(model: ServingModel) -> None:
    rule = {"when": {"categories": ["tea"]}, "then": "hide", "starts": NOW, "ends": NOW + 60}
    shown = [eligible(model, rules=[rule], now=NOW + at) for at in (-1, 0, 59, 60)]
    assert shown == [{"item-0", "item-2", "new"}, set(), set(), {"item-0", "item-2", "new"}]


def test_what_is_hidden_or_excluded_or_on_the_page_already_is_left_out(model: ServingModel) -> None:
    assert eligible(model, hidden=("new",)) == {"item-0", "item-2"}
    excluding = RecommendationRequest(1, user_id="anna", exclude_item_ids=("item-0", "never heard of"))
    assert eligible(model, request=excluding) == {"item-2", "new"}
    assert eligible(model, request=RecommendationRequest(1, user_id="anna", like_item_id="item-2")) == {"item-0", "new"}


@pytest.mark.parametrize(
    ("repeats", "again"),
    [
        ({}, set()),
        ({"show": {"categories": ["tea"]}}, {"item-0", "new"}),
        ({"show": {"categories": ["tea"]}, "hide": {"categories": ["pots"]}}, {"item-0"}),
        ({"default": "show"}, {"item-0", "new"}),
        ({"default": "show", "hide": {"categories": ["drinks"]}}, {"new"}),
        ({"default": "show", "show": {"categories": ["drinks"]}}, {"item-0", "new"}),
    ],
)
def test_what_was_met_comes_again_where_the_placement_says_so(
    model: ServingModel, repeats: dict[str, object], again: set[str]
) -> None:
    """Two items were met, of which the model does not know one; what was not met is not touched."""
    assert eligible(model, "item-0", "new", repeats=repeats) == {"item-2"} | again


def test_what_is_hidden_does_not_come_again_where_all_that_was_met_may(model: ServingModel) -> None:
    shown = eligible(model, "item-0", "new", hidden=("item-0",), repeats={"default": "show"})
    assert shown == {"item-2", "new"}


def test_an_article_is_shown_from_when_it_is_published_until_it_expires(model: ServingModel) -> None:
    items: list[StoredItem] = [Article(item_id="item-0", vertical=SHOP, published=NOW, expires=NOW + 60)]
    shown = [bool(eligible(model, items=items, now=NOW + at)) for at in (-0.1, 0, 59.9, 60)]
    assert shown == [False, True, True, False]
