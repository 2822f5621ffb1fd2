"""Context in the replies, against an oracle; and without one, the replies as they were."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.blend import BLENDED_UP_TO, BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.met import MetItems
from feature_store.query_tower import Context, ContextValue, QueryTower
from serving.model import ServingModel, build_model
from serving.recommend import RankedList, recommend
from serving.request import Person, RecommendationRequest
from tests.serving.published import Publisher, draft, folded_in, view_of
from tests.serving.running import Server, config_of, started

RANDOM = np.random.default_rng(3)
VALUES = [
    ContextValue("hour", "8"),
    ContextValue("hour", "20"),
    ContextValue("weekday", "6"),
    ContextValue("device", "phone"),
    ContextValue("vertical", "films"),
]
TOWER = QueryTower(8, {value: RANDOM.normal(size=8).astype(np.float32) for value in VALUES})
PLAIN = replace(draft(1), catalogues={"films": ((0, 40),), "books": ((40, 60),)})
CONTENT = replace(PLAIN, query_tower=TOWER)
MANY = tuple(f"item-{row}" for row in range(0, 2 * BLENDED_UP_TO + 6, 2))
CONTEXT: Context = {"hour": "20", "weekday": "6", "device": "phone"}


def model_of(folder: Path, content: CheckpointDraft) -> ServingModel:
    publisher = Publisher(folder)
    return build_model(publisher.registry.load(publisher.publish(content)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("context"), CONTENT)


def best(query: np.ndarray, shown: range, seen: tuple[str, ...]) -> list[str]:
    scores = CONTENT.item_vectors.astype(np.float64) @ query
    eligible = [row for row in shown if f"item-{row}" not in seen]
    return [f"item-{row}" for row in sorted(eligible, key=lambda row: -scores[row])]


def ids(ranked: RankedList) -> list[str]:
    return [item.item_id for item in ranked.items]


def shift(*values: ContextValue) -> np.ndarray:
    return sum((TOWER.vectors[value].astype(np.float64) for value in values), np.zeros(8))


def test_a_known_person_a_session_and_a_vector_are_shifted_alike(model: ServingModel) -> None:
    p = folded_in(CONTENT, list(MANY))
    expected = best(p + shift(*VALUES[1:4]), range(60), MANY)
    assert expected != best(p, range(60), MANY)

    known = recommend(
        RecommendationRequest(60, "anna", context=CONTEXT),
        Person(MetItems(tuple(sorted(MANY)), 7), None),
        view_of(model),
    )
    session = recommend(RecommendationRequest(60, session_item_ids=MANY, context=CONTEXT), None, view_of(model))
    vector = RecommendationRequest(
        60,
        query_vector=p.astype(np.float32),
        checkpoint_id=model.model_id,
        exclude_item_ids=MANY,
        context=CONTEXT,
    )
    assert ids(known) == ids(session) == ids(recommend(vector, None, view_of(model))) == expected
    assert known.degraded == session.degraded == ()


def test_the_vertical_of_the_placement_is_part_of_every_requests_context(model: ServingModel) -> None:
    p = folded_in(CONTENT, list(MANY))
    in_context = RecommendationRequest(60, session_item_ids=MANY, context={"hour": "8"})
    assert ids(recommend(in_context, None, view_of(model, "films"))) == best(
        p + shift(VALUES[0], VALUES[4]), range(40), MANY
    )
    for nothing in (None, {}):
        ranked = recommend(replace(in_context, context=nothing), None, view_of(model, "films"))
        assert ids(ranked) == best(p + shift(VALUES[4]), range(40), MANY)
        assert ranked.degraded == ()
    ranked = recommend(in_context, None, view_of(model, "books"))
    assert ids(ranked) == best(p + shift(VALUES[0]), range(40, 60), MANY)
    assert ranked.degraded == ()  # the client did not name the vertical; the placement did


@pytest.mark.parametrize("context", [None, {}, {"hour": "9"}, {"device": "watch"}])
def test_where_nothing_is_added_every_bit_is_that_of_a_model_without_a_tower(
    tmp_path: Path, model: ServingModel, context: Context | None
) -> None:
    plain = model_of(tmp_path, PLAIN)
    request = RecommendationRequest(60, session_item_ids=MANY, context=context)
    one, other = (recommend(request, None, view_of(of)) for of in (model, plain))
    assert one.items == other.items
    assert one.degraded == other.degraded == (("context-unknown",) if context else ())


def test_a_value_that_adds_nothing_is_told_and_the_others_count(model: ServingModel) -> None:
    request = RecommendationRequest(60, session_item_ids=MANY, context={"hour": "8", "device": "watch"})
    ranked = recommend(request, None, view_of(model))
    assert ids(ranked) == best(folded_in(CONTENT, list(MANY)) + shift(VALUES[0]), range(60), MANY)
    assert ranked.degraded == ("context-unknown",)


def test_few_known_items_are_blended_as_ever_and_nobody_gets_what_is_popular(tmp_path: Path) -> None:
    content = replace(CONTENT, blend=BlendSettings(weight=2.0, people=25))
    model, seen = model_of(tmp_path, content), ("item-3", "item-9")
    request = RecommendationRequest(60, session_item_ids=seen, context={"hour": "8"})
    query = folded_in(content, list(seen)) + shift(VALUES[0])
    scores = np.sqrt(2) * content.item_vectors @ query + 2.0 * content.item_counts / 25
    expected = [f"item-{row}" for row in np.argsort(-scores) if f"item-{row}" not in seen]
    assert ids(recommend(request, None, view_of(model))) == expected

    popular = [
        recommend(RecommendationRequest(60, context=context), None, view_of(model)) for context in (None, {"hour": "8"})
    ]
    assert popular[0].items == popular[1].items
    assert popular[1].items[0].source == "popular"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    with started(config_of(publisher), folder) as server:
        server.serves(model_id)
        yield server


def test_the_context_of_a_body_reaches_the_pipeline(server: Server) -> None:
    session = [{"item_id": item_id} for item_id in MANY]
    reply = server.ask(k=60, session_events=session, context={"hour": 20, "weekday": 6, "device": "phone"})
    p = folded_in(CONTENT, list(MANY))
    assert [item["item_id"] for item in reply["items"]] == best(p + shift(*VALUES[1:4]), range(60), MANY)
    assert reply["meta"]["degraded"] == []
    assert server.ask(session_events=session, context={"device": "watch"})["meta"]["degraded"] == ["context-unknown"]


@pytest.mark.parametrize(
    ("context", "pointer"),
    [
        ({"hour": 24}, "#/context/hour"),
        ({"hour": -1}, "#/context/hour"),
        ({"hour": "8"}, "#/context/hour"),
        ({"weekday": 7}, "#/context/weekday"),
        ({"device": ""}, "#/context/device"),
        ({"vertical": "films"}, "#/context/vertical"),
        ([], "#/context"),
    ],
)
def test_a_context_that_is_none_is_refused(server: Server, context: object, pointer: str) -> None:
    response = server.recommend(context=context)
    assert response.status_code == 422
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]
