"""Who sees whose posts, held to the rule of the graph itself, post by post."""

import asyncio
from collections.abc import Sequence
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from feature_store.item_schemas import PlainItem, Post, StoredItem, Visibility
from feature_store.social_graph import Tie, may_see
from feature_store.social_graph_memory import InMemorySocialGraph
from serving.assortment.assortment import Assortment
from serving.request import NOBODY
from serving.visibility import visible_places
from tests.serving.people_of import neighbours_of

PEOPLE = ("ann", "bob", "cy", "dan")

people = st.sampled_from(PEOPLE)
ties = st.lists(
    st.tuples(st.sampled_from(["follow", "friend", "block", "mute"]), people, people)
    .filter(lambda tie: tie[1] != tie[2])
    .map(lambda tie: Tie(*tie)),
    max_size=12,
)
posts = st.lists(st.tuples(people, st.sampled_from(get_args(Visibility))), max_size=12)


def shown(items: Sequence[StoredItem]) -> Assortment:
    assortment = Assortment(None, (), has_catalogue=True)
    assortment.put(items)
    return assortment


def post(item_id: str, author: str, visibility: Visibility = "public") -> Post:
    return Post(item_id=item_id, vertical="social", author=author, created=1.0, visibility=visibility)


@given(ties=ties, posts=posts, viewer=people)
def test_of_any_graph_everybody_sees_what_the_rule_says_of_each_post_and_nothing_else(
    ties: list[Tie], posts: list[tuple[str, Visibility]], viewer: str
) -> None:
    async def expected() -> list[bool]:
        graph = InMemorySocialGraph()
        await graph.add(ties)
        relations = await graph.relations(viewer, [author for author, _ in posts])
        return [
            may_see(viewer, author, level, relation) for (author, level), relation in zip(posts, relations, strict=True)
        ]

    assortment = shown([post(f"post-{n}", *one) for n, one in enumerate(posts)])

    assert visible_places(assortment, neighbours_of(viewer, ties)).tolist() == asyncio.run(expected())


@given(posts=posts)
def test_who_asks_without_an_identity_sees_what_is_public(posts: list[tuple[str, Visibility]]) -> None:
    assortment = shown([post(f"post-{n}", *one) for n, one in enumerate(posts)])
    assert visible_places(assortment, NOBODY).tolist() == [level == "public" for _, level in posts]


def test_what_has_no_author_is_for_everybody_unless_it_says_that_it_is_for_some() -> None:
    plain = PlainItem(item_id="plain", vertical="social")
    odd = PlainItem(item_id="odd", vertical="social", labels={"visibility": ("followers",)})
    friend = neighbours_of("ann", [Tie("friend", "ann", "bob")])
    assert visible_places(shown([plain, odd]), friend).tolist() == [True, False]
    assert visible_places(shown([plain, odd, post("post", "bob", "followers")]), friend).tolist() == [True, False, True]
