"""The pipeline, as functions of values."""

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.met import MetItems
from serving.errors import OtherCheckpoint, RequestRefused
from serving.model import ServingModel, build_model
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from tests.serving.published import Publisher, draft, personal, popular, ranked_for, view_of

CONTENT = draft(1)
ELSEWHERE = np.linspace(-1.0, 1.0, 8, dtype=np.float32)  # what no history here folds in to


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    publisher = Publisher(tmp_path_factory.mktemp("model"))
    return build_model(publisher.registry.load(publisher.publish(CONTENT)))


def met(*item_ids: str, watermark: int = 7) -> MetItems:
    return MetItems(tuple(sorted(item_ids)), watermark)


def ids(ranked: RankedList) -> list[str]:
    return [item.item_id for item in ranked.items]


def names(expected: list[tuple[str, float]]) -> list[str]:
    return [item_id for item_id, _ in expected]


def test_a_stored_embedding_of_this_checkpoint_and_history_is_used_as_it_is(model: ServingModel) -> None:
    person = Person(met("item-2"), UserEmbedding(ELSEWHERE, model.model_id, 7))

    ranked = recommend(RecommendationRequest(10, "anna"), person, view_of(model))

    assert ids(ranked) == names(ranked_for(CONTENT, ELSEWHERE, 10, {"item-2"}))


@pytest.mark.parametrize("stored", [("r0009-elsewhere", 7), (None, 6)], ids=["another checkpoint", "another history"])
def test_a_stored_embedding_of_anything_else_is_folded_in_again(
    model: ServingModel, stored: tuple[str | None, int]
) -> None:
    embedding = UserEmbedding(ELSEWHERE, stored[0] or model.model_id, stored[1])

    ranked = recommend(RecommendationRequest(10, "anna"), Person(met("item-2"), embedding), view_of(model))

    assert ids(ranked) == names(personal(CONTENT, ["item-2"]))


def test_a_session_is_folded_in_with_the_history_and_not_added_to_its_embedding(model: ServingModel) -> None:
    person = Person(met("item-2"), UserEmbedding(ELSEWHERE, model.model_id, 7))

    ranked = recommend(RecommendationRequest(10, "anna", session_item_ids=("item-5",)), person, view_of(model))

    assert ids(ranked) == names(personal(CONTENT, ["item-2", "item-5"]))


def test_what_a_person_hid_does_not_come_back_and_nobody_is_folded_in_from_it(model: ServingModel) -> None:
    [(favourite, _), *_] = personal(CONTENT, ["item-2"])
    person = Person(MetItems(("item-2",), 7, (favourite, "brand-new")), None)

    ranked = recommend(RecommendationRequest(10, "anna"), person, view_of(model))

    assert ids(ranked) == names(personal(CONTENT, ["item-2"], without=(favourite,)))
    assert (ranked.degraded, ranked.unknown_items) == ((), 0)


def test_who_only_hid_things_gets_what_is_popular_without_them(model: ServingModel) -> None:
    [(first, _), *_] = popular(CONTENT)

    ranked = recommend(RecommendationRequest(10, "anna"), Person(MetItems((), 7, (first,)), None), view_of(model))

    assert ids(ranked) == names(popular(CONTENT, without=(first,)))
    assert ranked.degraded == ("popularity-fallback",)


def test_an_empty_session_leaves_the_stored_embedding_in_use(model: ServingModel) -> None:
    person = Person(met("item-2"), UserEmbedding(ELSEWHERE, model.model_id, 7))

    ranked = recommend(RecommendationRequest(10, "anna", session_item_ids=()), person, view_of(model))

    assert ids(ranked) == names(ranked_for(CONTENT, ELSEWHERE, 10, {"item-2"}))


def test_items_of_the_history_that_the_checkpoint_does_not_know_leave_the_others_in_use(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(10, "anna"), Person(met("item-2", "brand-new"), None), view_of(model))

    assert ids(ranked) == names(personal(CONTENT, ["item-2"]))
    assert (ranked.degraded, ranked.unknown_items) == ((), 0)


def test_a_store_that_does_not_answer_leaves_popular_items_marked_so(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(10, "anna"), None, view_of(model))

    assert ids(ranked) == names(popular(CONTENT))
    assert ranked.degraded == ("store-unavailable",)


def test_a_store_that_does_not_answer_leaves_the_session_in_use(model: ServingModel) -> None:
    ranked = recommend(RecommendationRequest(10, "anna", session_item_ids=("item-5",)), None, view_of(model))

    assert ids(ranked) == names(personal(CONTENT, ["item-5"]))
    assert ranked.degraded == ("store-unavailable",)


def test_a_vector_of_another_checkpoint_never_meets_the_items(model: ServingModel) -> None:
    asked = RecommendationRequest(10, query_vector=ELSEWHERE, checkpoint_id="r0009-elsewhere")

    with pytest.raises(OtherCheckpoint, match=f"r0009-elsewhere; checkpoint {model.model_id}"):
        recommend(asked, None, view_of(model))


@pytest.mark.parametrize(
    "vector",
    [np.ones(7, dtype=np.float32), np.ones((1, 8), dtype=np.float32), np.full(8, 3e38, dtype=np.float32)],
    ids=["too short", "a matrix", "scores would overflow"],
)
def test_a_vector_that_cannot_be_scored_is_refused(model: ServingModel, vector: np.ndarray) -> None:
    with pytest.raises(RequestRefused) as refused:
        recommend(RecommendationRequest(10, query_vector=vector, checkpoint_id=model.model_id), None, view_of(model))

    assert [fault.pointer for fault in refused.value.faults] == ["#/query_vector"]


def test_the_longest_vector_that_is_accepted_has_finite_scores(model: ServingModel) -> None:
    length = 0.999 * np.finfo(np.float32).max / model.longest_item
    longest = CONTENT.item_vectors[int(np.argmax(np.linalg.norm(CONTENT.item_vectors, axis=1)))]
    vector = (longest / np.linalg.norm(longest) * length).astype(np.float32)

    ranked = recommend(
        RecommendationRequest(60, query_vector=vector, checkpoint_id=model.model_id), None, view_of(model)
    )

    assert all(np.isfinite(item.score) for item in ranked.items)
    assert ranked.items[0].score > 3e38
