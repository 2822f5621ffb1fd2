"""Item-item weights and the discount of popularity in the replies, against the formula in double precision."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.blend import BLENDED_UP_TO, BlendSettings, popular_share
from feature_store.checkpoint import CheckpointDraft
from feature_store.item_item import ItemItem
from feature_store.met import MetItems
from serving.model import ServingModel, build_model
from serving.recommend import recommend
from serving.request import Person, RecommendationRequest
from serving.shelf import Added, Shelf
from tests.serving.published import Publisher, draft, folded_in, view_of

WEIGHTED = np.arange(0, 60, 3, dtype=np.int32)
RANDOM = np.random.default_rng(5)
CONTENT = replace(
    draft(1),
    blend=BlendSettings(weight=2.0, people=25, discount=0.2),
    catalogues={"films": ((0, 20), (50, 60)), "books": ((20, 50),)},
    item_item=ItemItem(WEIGHTED, RANDOM.normal(size=(20, 20)).astype(np.float32)),
)
MANY = tuple(f"item-{row}" for row in range(BLENDED_UP_TO + 5))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    publisher = Publisher(tmp_path_factory.mktemp("item-item"))
    return build_model(publisher.registry.load(publisher.publish(CONTENT)))


def scores(content: CheckpointDraft, seen: tuple[str, ...]) -> np.ndarray:
    """score_i = (1 − s) pop_i^(−b) (p·q_i + Σ B[h, i]) + s pop_i, an item at a time."""
    met = [int(item_id.removeprefix("item-")) for item_id in seen]
    vector = folded_in(content, list(seen))
    share = popular_share(len(met), content.blend)
    places = {row: place for place, row in enumerate(content.item_item.rows.tolist())} if content.item_item else {}
    found = []
    for row, (item, count) in enumerate(zip(content.item_vectors, content.item_counts, strict=True)):
        own = float(vector @ item.astype(np.float64))
        if content.item_item is not None and row in places:
            own += sum(float(content.item_item.weights[places[h], places[row]]) for h in met if h in places)
        pop = float(count) / content.blend.people
        discounted = own * min(1.0, max(pop, 1 / content.blend.people)) ** -content.blend.discount
        found.append((1 - share) * discounted + share * pop)
    return np.array(found)


@pytest.mark.parametrize("seen", [MANY, ("item-3", "item-6"), ("item-1",)], ids=["many", "few", "none with weights"])
@pytest.mark.parametrize("vertical", [None, "films"])
def test_the_list_is_ranked_by_the_formula(model: ServingModel, seen: tuple[str, ...], vertical: str | None) -> None:
    """Also beside items that the person hid: these are left out, and add nothing to the scores of others."""
    request, hidden = RecommendationRequest(60, "anna"), ("item-18", "item-57")
    ranked = recommend(request, Person(MetItems(tuple(sorted(seen)), 7, hidden), None), view_of(model, vertical))

    expected = scores(CONTENT, seen)
    left_out = {*seen, *hidden}
    shown = [row for row in range(60) if f"item-{row}" not in left_out and (vertical is None or not 20 <= row < 50)]
    best = sorted(shown, key=lambda row: -expected[row])
    assert [item.item_id for item in ranked.items] == [f"item-{row}" for row in best]
    assert [item.score for item in ranked.items] == pytest.approx(expected[best].tolist(), rel=1e-4, abs=1e-5)


def test_weights_change_the_list(model: ServingModel) -> None:
    seen = Person(MetItems(MANY, 7), None)
    without = replace(model, item_item=None)
    request = RecommendationRequest(20, "anna")
    assert recommend(request, seen, view_of(model)).items != recommend(request, seen, view_of(without)).items


def test_a_vector_without_history_is_ranked_by_its_products(model: ServingModel) -> None:
    vector = RANDOM.normal(size=model.dim).astype(np.float32)
    request = RecommendationRequest(5, query_vector=vector, checkpoint_id=model.model_id)
    discounted = CONTENT.item_vectors @ vector * np.clip(CONTENT.item_counts / 25, 1 / 25, 1) ** -0.2
    assert [item.item_id for item in recommend(request, None, view_of(model)).items] == [
        f"item-{row}" for row in np.argsort(-discounted)[:5]
    ]


@given(
    st.lists(st.integers(0, 11), min_size=1, unique=True).map(sorted),
    st.lists(st.integers(0, 11), unique=True).map(sorted),
    st.lists(st.integers(0, 11)),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_a_shelf_ranks_what_is_added_to_with_all_others(
    on_it: list[int], added_to: list[int], excluded: list[int], k: int, seed: int
) -> None:
    """Whole numbers keep every score exact, and equal scores frequent."""
    rng = np.random.default_rng(seed)
    vectors, query, extra = rng.integers(-2, 3, (12, 2)), rng.integers(-2, 3, 2), rng.integers(-3, 4, len(added_to))
    shelf = Shelf.of(np.array(on_it, np.int32), vectors.astype(np.float32), np.ones(12, np.float32))
    added = Added(np.array(added_to, np.int32), extra.astype(np.float32))

    found = shelf.closest(
        query.astype(np.float32), k, np.array([row not in excluded for row in on_it]), "personal", added
    )

    expected_scores = vectors @ query
    expected_scores[added_to] += extra
    eligible = [row for row in on_it if row not in excluded]
    expected = sorted(eligible, key=lambda row: (-expected_scores[row], row))[:k]
    assert [on_it[place] for place in found.places] == expected
    assert found.scores.tolist() == expected_scores[expected].tolist()
