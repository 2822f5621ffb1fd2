"""Few known items: what is popular joins in, and the reply says so. Verticals: a placement shows its own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from feature_store.blend import BLENDED_UP_TO, BlendSettings
from feature_store.embedding import UserEmbedding
from feature_store.met import MetItems
from serving.model import ServingModel, build_model
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from tests.serving.published import Publisher, Ranked, blended, draft, folded_in, personal, popular, ranked_for, view_of
from tests.serving.running import Server, config_of, started

FILMS, BOOKS = [f"item-{row}" for row in (*range(20), *range(50, 60))], [f"item-{row}" for row in range(20, 50)]
CONTENT = replace(
    draft(1),
    blend=BlendSettings(weight=2.0, people=25),
    catalogues={"films": ((0, 20), (50, 60)), "books": ((20, 50),)},
)
MANY = [f"item-{row}" for row in range(BLENDED_UP_TO + 1)]


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("blend"))


@pytest.fixture(scope="module")
def model(publisher: Publisher) -> ServingModel:
    return build_model(publisher.registry.load(publisher.publish(CONTENT)))


@pytest.fixture(scope="module")
def shop(publisher: Publisher, model: ServingModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    placements = {"home": {}, "cinema": {"vertical": "films"}, "attic": {"vertical": "records"}}
    folder = tmp_path_factory.mktemp("shop")
    with started(config_of(publisher, placements=placements), folder) as server:
        server.serves(model.model_id)
        yield server


def person(*item_ids: str) -> Person:
    return Person(MetItems(tuple(sorted(item_ids)), 7), None)


def ids(ranked: RankedList) -> list[str]:
    return [item.item_id for item in ranked.items]


def names(expected: Ranked) -> list[str]:
    return [item_id for item_id, _ in expected]


@pytest.mark.parametrize(
    "seen", [["item-2"], ["item-2", "item-5", "item-9"], MANY[:-1]], ids=["one", "three", "as many as are blended"]
)
def test_of_few_items_the_list_is_blended_as_the_formula_has_it(model: ServingModel, seen: list[str]) -> None:
    ranked = recommend(RecommendationRequest(60, "anna"), person(*seen), view_of(model))

    expected = blended(CONTENT, seen, k=60)
    assert ids(ranked) == names(expected)
    assert [item.score for item in ranked.items] == pytest.approx([score for _, score in expected], rel=1e-5)
    assert {item.source for item in ranked.items} == {"blended"}
    assert ranked.degraded == ()


def test_the_blend_is_neither_of_the_two_lists(model: ServingModel) -> None:
    found = ids(recommend(RecommendationRequest(20, "anna"), person("item-2"), view_of(model)))

    assert found != names(personal(CONTENT, ["item-2"], k=20))
    assert found != names(popular(CONTENT, k=20, without=("item-2",)))


def test_of_many_items_the_list_is_the_persons_own(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(20, "anna"), person(*MANY), view_of(model))

    assert ids(ranked) == names(personal(CONTENT, MANY, k=20))
    assert {item.source for item in ranked.items} == {"personal"}


def test_a_stored_embedding_is_blended_by_the_number_of_items_it_is_of(model: ServingModel) -> None:
    vector = folded_in(CONTENT, ["item-2", "item-4"]).astype(np.float32)
    stored = Person(MetItems(("item-2", "item-4"), 7), UserEmbedding(vector, model.model_id, 7))

    assert ids(recommend(RecommendationRequest(30, "anna"), stored, view_of(model))) == names(
        blended(CONTENT, ["item-2", "item-4"], k=30)
    )


def test_items_that_the_checkpoint_does_not_know_are_not_counted_as_known(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(30, "anna"), person("item-2", "new-1", "new-2"), view_of(model))

    assert ids(ranked) == names(blended(CONTENT, ["item-2"], k=30))


def test_a_session_is_blended_too_and_counts_with_the_history(model: ServingModel) -> None:
    session = RecommendationRequest(30, session_item_ids=("item-5",))
    together = RecommendationRequest(30, "anna", session_item_ids=("item-5",))

    assert ids(recommend(session, None, view_of(model))) == names(blended(CONTENT, ["item-5"], k=30))
    assert ids(recommend(together, person("item-2"), view_of(model))) == names(
        blended(CONTENT, ["item-2", "item-5"], k=30)
    )


def test_a_bare_vector_is_not_blended(model: ServingModel) -> None:
    vector = folded_in(CONTENT, ["item-2"]).astype(np.float32)

    ranked = recommend(
        RecommendationRequest(60, query_vector=vector, checkpoint_id=model.model_id), None, view_of(model)
    )

    assert ids(ranked) == names(ranked_for(CONTENT, vector, 60, set()))
    assert {item.source for item in ranked.items} == {"personal"}


@pytest.mark.parametrize(("vertical", "stocked"), [("films", FILMS), ("books", BOOKS)])
def test_a_vertical_shows_its_items_alone_and_all_history_counts(
    model: ServingModel, vertical: str, stocked: list[str]
) -> None:
    elsewhere = tuple(set(CONTENT.vocabulary.item_ids) - set(stocked))
    seen = ["item-2", "item-21", "item-23"]

    known = recommend(RecommendationRequest(60, "anna"), person(*seen), view_of(model, vertical))
    unknown = recommend(RecommendationRequest(60), None, view_of(model, vertical))

    assert ids(known) == names(blended(CONTENT, seen, k=60, without=elsewhere))
    assert ids(unknown) == names(popular(CONTENT, k=60, without=elsewhere))
    assert known.degraded == unknown.degraded == ()


def test_a_vertical_that_the_checkpoint_does_not_have_is_answered_with_nothing_and_says_so(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(10, "anna"), person("item-2"), view_of(model, "records"))

    assert (ranked.items, ranked.degraded) == ((), ("vertical-unknown",))


def test_the_vectors_of_the_model_are_held_once(model: ServingModel) -> None:
    np.testing.assert_array_equal(model.checkpoint.item_vectors, CONTENT.item_vectors)
    assert np.shares_memory(model.checkpoint.item_vectors, model.everything.index.matrix.vectors)  # type: ignore[attr-defined]  # of the exact index
    with pytest.raises(ValueError, match="read-only"):
        model.checkpoint.item_vectors[0] = 1


def test_over_http_few_events_are_blended_and_none_are_popular(shop: Server) -> None:
    shop.post({"event_id": "1", "user_id": "anna", "item_id": "item-2", "event": "view"}).raise_for_status()

    assert_ranked(shop.ask(user_id="anna"), blended(CONTENT, ["item-2"]), "blended")
    assert_ranked(shop.ask(session_events=[{"item_id": "item-2"}]), blended(CONTENT, ["item-2"]), "blended")
    assert_ranked(shop.ask(user_id="nobody"), popular(CONTENT), "popular")
    assert shop.metric('hearth_candidates_total{source="blended"}') == 20


def test_over_http_a_placement_shows_its_vertical(shop: Server) -> None:
    session = [{"item_id": "item-30"}]
    books = tuple(BOOKS)

    assert_ranked(
        shop.ask(placement="cinema", session_events=session), blended(CONTENT, ["item-30"], without=books), "blended"
    )
    assert_ranked(shop.ask(placement="cinema"), popular(CONTENT, without=books), "popular")
    attic = shop.ask(placement="attic")
    assert (attic["items"], attic["meta"]["degraded"]) == ([], ["vertical-unknown"])


def assert_ranked(reply: Any, expected: Ranked, source: str) -> None:
    assert [item["item_id"] for item in reply["items"]] == names(expected)
    assert [item["score"] for item in reply["items"]] == pytest.approx([score for _, score in expected], rel=1e-5)
    assert {item["source"] for item in reply["items"]} == {source}
