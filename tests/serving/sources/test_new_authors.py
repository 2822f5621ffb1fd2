"""New authors: who they are, and in what order they get their turn."""

from collections.abc import Sequence

import pytest

from feature_store.item_schemas import Post
from feature_store.met import MetItems
from serving.model import ServingModel
from serving.recommend import recommend
from serving.request import Neighbours, Person, RecommendationRequest
from tests.serving.stocked import NOW, content_of, ids, model_of, stocked

CONTENT = content_of("social", items=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("social"), CONTENT)


def post(item_id: str, author: str, age: float = 0.0) -> Post:
    return Post(item_id=item_id, vertical="social", author=author, created=NOW - age)


def found(model: ServingModel, items: Sequence[Post], fewer_than: int, k: int = 20) -> list[str]:
    view = stocked(model, "social", items, sources=[{"kind": "new_authors", "fewer_than": fewer_than}])
    person = Person(MetItems(), None, Neighbours("ann"))
    ranked = recommend(RecommendationRequest(k, "ann"), person, view)
    return [item.item_id for item in ranked.items if item.source == "new_authors"]


def test_an_author_is_new_while_fewer_posts_than_that_have_been_met_whatever_else_there_is(
    model: ServingModel,
) -> None:
    items = [
        *(post(f"item-{n}", "bob", n) for n in range(3)),  # met, as the model says
        *(post(f"item-{n}", "cy", n) for n in range(3, 5)),
        *(post(f"new-{n}", "cy", n) for n in range(10, 13)),
    ]
    assert set(found(model, items, fewer_than=3)) == {"item-3", "item-4", "new-10", "new-11", "new-12"}
    assert len(found(model, items, fewer_than=4)) == len(items)
    assert found(model, items, fewer_than=2) == []


def test_each_author_has_a_turn_before_anybody_has_a_second_and_the_newest_is_first(model: ServingModel) -> None:
    items = [
        *(post(f"many-{n}", "bob", n) for n in range(4)),
        post("one", "cy", 2.5),
        post("two", "dan", 9.0),
        post("two-more", "dan", 1.5),
    ]
    assert found(model, items, fewer_than=1) == ["many-0", "two-more", "one", "many-1", "two", "many-2", "many-3"]


def test_nobody_is_shown_their_own_posts_as_a_new_authors(model: ServingModel) -> None:
    assert found(model, [post("own", "ann"), post("hers", "bob")], fewer_than=1) == ["hers"]


def test_a_share_of_the_list_is_kept_for_them(model: ServingModel) -> None:
    items = [*(post(f"item-{n}", "bob", n) for n in range(20)), post("new", "cy", 1e6), post("newer", "dan", 1e5)]
    sources = [{"kind": "popular"}, {"kind": "new_authors", "fewer_than": 5, "share": 0.1}]
    view = stocked(model, "social", items, sources=sources, half_life_hours=1.0)

    ranked = recommend(RecommendationRequest(10), None, view)

    assert [item.item_id for item in ranked.items if item.source == "new_authors"] == ["newer"]
    assert len(ids(ranked)) == 10


def test_items_without_authors_are_nobodys(model: ServingModel) -> None:
    assert found(model, [], fewer_than=5) == []
