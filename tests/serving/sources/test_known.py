"""What goes with an item: what is met together with it, then what is like it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.item_item import ItemItem
from feature_store.item_schemas import Product
from serving.model import ServingModel
from serving.recommend import recommend
from serving.request import RecommendationRequest
from tests.serving.stocked import content_of, ids, model_of, person, stocked

SHOP = "e-commerce"
PLAIN = content_of(SHOP)
ROWS = np.array([3, 10, 11, 20], np.int32)
WEIGHTS = np.zeros((4, 4), np.float32)
WEIGHTS[0, 1], WEIGHTS[0, 2], WEIGHTS[0, 3], WEIGHTS[2, 3] = 0.2, -0.5, 0.7, 0.1
TOGETHER = replace(PLAIN, item_item=ItemItem(ROWS, WEIGHTS))
SIMILAR = [{"kind": "similar"}]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("together"), TOGETHER)


def goods(*without: str) -> list[Product]:
    return [
        Product(item_id=f"item-{n}", vertical=SHOP, stock=0 if f"item-{n}" in without else 9)
        for n in reversed(range(60))
    ]


def by_cosine(*about: int, without: tuple[int, ...] = ()) -> list[str]:
    unit = PLAIN.item_vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    likeness = unit @ unit[list(about)].mean(axis=0)
    return [f"item-{n}" for n in np.argsort(-likeness) if n not in {*about, *without}]


def test_what_is_like_an_item_is_by_cosine_whoever_asks(plain: ServingModel) -> None:
    view = stocked(plain, SHOP, goods(), sources=[*SIMILAR, {"kind": "popular"}])
    request = RecommendationRequest(8, like_item_id="item-3")
    assert ids(recommend(request, None, view)) == by_cosine(3)[:8]
    met = person("item-30", "item-31")
    known = recommend(replace(request, user_id="anna"), met, view)
    assert ids(known) == by_cosine(3, without=(30, 31))[:8]
    assert {item.source for item in known.items} == {"similar"}


def test_without_an_item_it_is_what_is_like_the_session_else_like_the_history(plain: ServingModel) -> None:
    view = stocked(plain, SHOP, goods(), sources=SIMILAR)
    session = RecommendationRequest(8, user_id="anna", session_item_ids=("item-3", "item-8"))
    assert ids(recommend(session, person("item-30"), view)) == by_cosine(3, 8, without=(30,))[:8]
    assert ids(recommend(RecommendationRequest(8, user_id="anna"), person("item-30"), view)) == by_cosine(30)[:8]


def test_what_is_met_together_with_it_comes_first_the_heaviest_before_the_others(together: ServingModel) -> None:
    view = stocked(together, SHOP, goods(), sources=SIMILAR)
    ranked = recommend(RecommendationRequest(58, like_item_id="item-3"), None, view)
    assert ids(ranked)[:2] == ["item-20", "item-10"]
    assert [item.score for item in ranked.items[:2]] == pytest.approx([1.7, 1.2])
    # What is met together less often than not is as like as its vector is.
    assert ids(ranked)[2:] == [item_id for item_id in by_cosine(3) if item_id not in ("item-20", "item-10")][:56]


def test_the_weights_of_several_items_add_up(together: ServingModel) -> None:
    view = stocked(together, SHOP, goods(), sources=SIMILAR, repeats={"default": "show"})
    ranked = recommend(RecommendationRequest(1, session_item_ids=("item-3", "item-11")), None, view)
    assert [(item.item_id, item.score) for item in ranked.items] == [("item-20", pytest.approx(1.8))]


def test_of_another_vertical_only_those_of_its_own_shelf_are_proposed(tmp_path: Path) -> None:
    """The weights are of rows of the vocabulary; on a shelf items stand elsewhere."""
    model = model_of(tmp_path, replace(TOGETHER, catalogues={"other": ((0, 10), (55, 60)), SHOP: ((10, 55),)}))
    view = stocked(model, SHOP, goods(), sources=SIMILAR)
    ranked = recommend(RecommendationRequest(20, like_item_id="item-11"), None, view)
    assert (ranked.items[0].item_id, ranked.items[0].score) == ("item-20", pytest.approx(1.1))
    assert {int(item_id.removeprefix("item-")) for item_id in ids(ranked)} <= set(range(10, 55))


def test_what_is_sold_out_goes_with_nothing(together: ServingModel) -> None:
    view = stocked(together, SHOP, goods("item-20"), sources=SIMILAR)
    assert ids(recommend(RecommendationRequest(1, like_item_id="item-3"), None, view)) == ["item-10"]


def test_nothing_is_like_what_the_model_does_not_know_and_the_list_is_full_all_the_same(plain: ServingModel) -> None:
    view = stocked(plain, SHOP, [*goods(), Product(item_id="new", vertical=SHOP)], sources=SIMILAR)
    ranked = recommend(RecommendationRequest(5, like_item_id="new"), None, view)
    assert len(ranked.items) == 5
    assert {item.source for item in ranked.items} == {"popular"}


def test_what_was_met_may_come_again_but_not_as_what_is_like_itself(plain: ServingModel) -> None:
    view = stocked(plain, SHOP, goods(), sources=SIMILAR, repeats={"default": "show"})
    ranked = recommend(RecommendationRequest(5, session_item_ids=("item-3",)), None, view)
    assert ids(ranked) == by_cosine(3)[:5]


def test_an_item_is_not_like_itself(plain: ServingModel) -> None:
    for sources in (SIMILAR, [{"kind": "popular"}]):
        view = stocked(plain, SHOP, goods(), sources=sources, repeats={"default": "show"})
        assert "item-3" not in ids(recommend(RecommendationRequest(100, like_item_id="item-3"), None, view))


def test_what_is_pinned_comes_in_the_editors_order_without_what_may_not_be_shown(plain: ServingModel) -> None:
    pins = [{"kind": "pinned", "items": ["item-9", "gone", "item-2", "item-9", "item-5", "item-1"]}]
    view = stocked(plain, SHOP, goods("item-2"), sources=pins)
    ranked = recommend(RecommendationRequest(3), None, view)
    assert ids(ranked) == ["item-9", "item-5", "item-1"]
    assert {item.source for item in ranked.items} == {"pinned"}
