"""The graph as a source, and friends' weight in personal scores: worlds small enough to say the answer."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.item_item import ItemItem
from feature_store.item_schemas import Post, Visibility
from feature_store.met import MetItems
from serving.model import ServingModel
from serving.recommend import recommend
from serving.request import Neighbours, Person, RecommendationRequest
from tests.serving.published import blended, popular
from tests.serving.stocked import NOW, content_of, ids, model_of, stocked

CONTENT = content_of("social")
COUNTS = dict(zip(CONTENT.vocabulary.item_ids, CONTENT.item_counts.tolist(), strict=True))
PERSONAL, GRAPH = {"kind": "personal"}, {"kind": "graph", "weight": 0.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("social"), CONTENT)


def post(item_id: str, author: str = "zoe", age: float = 0.0, visibility: Visibility = "public") -> Post:
    return Post(item_id=item_id, vertical="social", author=author, created=NOW - age, visibility=visibility)


KNOWN = [post(item_id) for item_id in CONTENT.vocabulary.item_ids]


def asked_by(neighbours: Neighbours | None, *met: str) -> Person:
    return Person(MetItems(tuple(sorted(met)), 7), None, neighbours)


def answer(
    model: ServingModel, person: Person | None, items: Sequence[Post] = KNOWN, k: int = 10, **placement: Any
) -> Any:
    view = stocked(model, "social", items, **{"sources": [GRAPH], "respects_graph": True, **placement})
    return recommend(RecommendationRequest(k, "ann"), person, view)


def sourced(ranked: Any, source: str) -> list[str]:
    return [item.item_id for item in ranked.items if item.source == source]


def test_what_more_friends_met_is_first_and_of_that_what_fewer_others_met(model: ServingModel) -> None:
    often, seldom = max(COUNTS, key=COUNTS.__getitem__), min(COUNTS, key=COUNTS.__getitem__)
    third = next(item_id for item_id in COUNTS if item_id not in {often, seldom})
    assert COUNTS[often] > 2 * COUNTS[seldom]

    ranked = answer(model, asked_by(Neighbours("ann", asked=9, met={often: 1, seldom: 1, third: 9, "gone": 5})))

    assert sourced(ranked, "graph") == [third, seldom, often]


@given(met=st.dictionaries(st.sampled_from(sorted(COUNTS)), st.integers(1, 50), max_size=12))
def test_the_order_of_what_friends_met_is_that_of_the_formula(model: ServingModel, met: dict[str, int]) -> None:
    def score(item_id: str) -> float:
        return met[item_id] / max(COUNTS[item_id], met[item_id]) ** 0.25

    found = sourced(answer(model, asked_by(Neighbours("ann", asked=50, met=met)), k=60), "graph")

    assert sorted(found) == sorted(met)
    scores = [score(item_id) for item_id in found]
    assert all(one >= other - 1e-6 for one, other in pairwise(scores))


def test_posts_of_friends_and_followed_come_newest_first_and_in_turn_with_what_friends_met(
    model: ServingModel,
) -> None:
    items = [*KNOWN, post("old", "bob", 9), post("new", "bob", 1), post("mid", "dan", 5), post("other", "eve", 0)]
    neighbours = Neighbours(
        "ann",
        follows=frozenset({"dan"}),
        friends=frozenset({"bob"}),
        asked=1,
        met={"item-3": 1, "item-4": 1},
    )
    met = sorted(("item-3", "item-4"), key=lambda item_id: COUNTS[item_id])

    for sources in ([GRAPH], [PERSONAL, {**GRAPH, "share": 1.0}]):
        ranked = answer(model, asked_by(neighbours, "item-2"), items, k=5, sources=sources)
        assert ids(ranked) == ["new", met[0], "mid", met[1], "old"]


def test_what_the_person_met_already_does_not_come_from_friends(model: ServingModel) -> None:
    neighbours = Neighbours("ann", asked=2, met={"item-3": 2, "item-4": 1})
    assert sourced(answer(model, asked_by(neighbours, "item-3"), k=1), "graph") == ["item-4"]


def test_a_share_of_the_list_is_the_graphs_whatever_the_model_thinks_of_it(model: ServingModel) -> None:
    neighbours = Neighbours("ann", asked=3, met={f"item-{n}": 1 for n in range(1, 60, 2)})  # all far from item-2
    ranked = answer(model, asked_by(neighbours, "item-2"), sources=[PERSONAL, {**GRAPH, "share": 0.3}])
    assert len(ranked.items) == 10
    assert len(set(ids(ranked)) & set(neighbours.met)) == 3
    assert len(sourced(ranked, "graph")) == 3


def test_friends_weigh_in_personal_scores_by_the_share_of_them_who_met_an_item(model: ServingModel) -> None:
    met = {"item-5": 4, "item-7": 1, "unknown": 3}
    person = asked_by(Neighbours("ann", asked=5, met=met), "item-2", "item-4")
    sources = [PERSONAL, {"kind": "graph", "weight": 2.0}]

    ranked = answer(model, person, k=58, sources=sources)

    expected = dict(blended(CONTENT, ["item-2", "item-4"], 60))
    for item_id, friends in met.items():
        if item_id in expected:
            expected[item_id] += 2.0 * friends / (5 + 5)
    order = sorted(expected, key=lambda item_id: -expected[item_id])
    assert ids(ranked) == order
    assert [item.score for item in ranked.items] == pytest.approx([expected[item_id] for item_id in order], abs=1e-4)


def test_friends_weigh_beside_item_item_weights(tmp_path: Path) -> None:
    rows = np.array([2, 5], np.int32)
    weights = np.array([[0.0, 0.3], [0.3, 0.0]], np.float32)
    both = model_of(tmp_path, content_of("social", item_item=ItemItem(rows, weights)))
    person = asked_by(Neighbours("ann", asked=0, met={"item-5": 1, "item-3": 1}), "item-2")

    def scores(weight: float) -> dict[str, float]:
        ranked = answer(both, person, k=59, sources=[PERSONAL, {"kind": "graph", "weight": weight}])
        return {item.item_id: item.score for item in ranked.items}

    plain, weighed = scores(0.0), scores(1.0)
    added = {item_id: weighed[item_id] - plain[item_id] for item_id in plain}
    assert {item_id: round(more, 4) for item_id, more in added.items() if abs(more) > 1e-4} == {
        "item-3": 0.2,
        "item-5": 0.2,
    }


def test_who_is_not_known_gets_popular_items_and_what_friends_met(model: ServingModel) -> None:
    neighbours = Neighbours("ann", asked=1, met={"item-3": 1})
    ranked = answer(model, asked_by(neighbours), k=5, sources=[{**GRAPH, "share": 0.2}, PERSONAL])
    others = [item_id for item_id, _ in popular(CONTENT, 10) if item_id != "item-3"]
    assert sourced(ranked, "graph") == ["item-3"]
    assert [item_id for item_id in ids(ranked) if item_id != "item-3"] == others[:4]


def test_without_the_graph_the_list_is_whole_and_says_so(model: ServingModel) -> None:
    items = [*KNOWN[:20], post("closed", "bob", 0, "followers")]
    ranked = answer(model, asked_by(None, "item-2"), items, k=30, sources=[PERSONAL, {**GRAPH, "share": 0.3}])
    assert ranked.degraded == ("graph-unavailable",)
    assert sorted(ids(ranked)) == sorted(item.item_id for item in KNOWN[:20] if item.item_id != "item-2")


def test_who_asks_without_an_identity_has_no_graph_to_miss(model: ServingModel) -> None:
    view = stocked(model, "social", [*KNOWN, post("closed", "bob", 0, "followers")], respects_graph=True)
    ranked = recommend(RecommendationRequest(100), None, view)
    assert ranked.degraded == ()
    assert sorted(ids(ranked)) == sorted(COUNTS)


def test_a_placement_that_does_not_use_the_graph_does_not_miss_it(model: ServingModel) -> None:
    ranked = answer(model, asked_by(None, "item-2"), sources=[PERSONAL], respects_graph=False)
    assert ranked.degraded == ()


people = st.sampled_from(["ann", "bob", "cy", "dan", "eve"])


@given(
    posts=st.lists(st.tuples(people, st.sampled_from(get_args(Visibility)), st.booleans()), min_size=1, max_size=30),
    hidden=st.sets(people.filter(lambda one: one != "ann")),
    near=st.sets(people.filter(lambda one: one != "ann")),
    most=st.integers(1, 3),
    k=st.integers(1, 12),
)
def test_of_any_ties_no_post_is_shown_that_may_not_be_and_the_list_is_as_long_as_caps_allow(
    model: ServingModel,
    posts: list[tuple[str, Visibility, bool]],
    hidden: set[str],
    near: set[str],
    most: int,
    k: int,
) -> None:
    items = [
        post(f"item-{n}" if is_known else f"new-{n}", author, n, level)
        for n, (author, level, is_known) in enumerate(posts)
    ]
    neighbours = Neighbours("ann", frozenset(hidden), frozenset(near), asked=3, met={"item-0": 2, "item-1": 1})
    sources = [{"kind": "graph", "share": 0.4}, PERSONAL, {"kind": "new_authors", "share": 0.2}]

    ranked = answer(
        model, asked_by(neighbours, "item-50"), items, k, sources=sources, caps=[{"field": "author", "most": most}]
    )

    def may_be_shown(one: Post) -> bool:
        if one.author == "ann":
            return True
        return one.author not in hidden and (
            one.visibility == "public" or (one.visibility == "followers" and one.author in near)
        )

    allowed = [one for one in items if may_be_shown(one)]
    by_author = {one.item_id: one.author for one in allowed}
    shown = ids(ranked)
    assert len(set(shown)) == len(shown)
    assert set(shown) <= set(by_author)
    authors = [by_author[item_id] for item_id in shown]
    assert all(authors.count(author) <= most for author in authors)
    room = sum(min(most, [*by_author.values()].count(author)) for author in set(by_author.values()))
    assert len(shown) == min(k, room)
