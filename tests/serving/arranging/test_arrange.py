"""Where things stand in a list: shares, positions, and what nobody has scored."""

from decimal import Decimal

import pytest

from feature_store.item_schemas import Product, StoredItem
from serving.model import ServingModel
from serving.recommend import RankedList, recommend
from serving.request import RecommendationRequest
from tests.serving.published import popular
from tests.serving.stocked import NOW, content_of, ids, model_of, stocked

SHOP = "e-commerce"
CONTENT = content_of(SHOP)
BEST = [item_id for item_id, _ in popular(CONTENT, 60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    return model_of(tmp_path_factory.mktemp("model"), CONTENT)


def product(item_id: str, **fields: object) -> Product:
    return Product.model_validate({"item_id": item_id, "vertical": SHOP, **fields})


def goods(**fields: dict[str, object]) -> list[StoredItem]:
    """All that the model knows, and two that it does not; further fields by the item's rank in popularity, as `n7`."""
    ranked = {f"n{rank}": item_id for rank, item_id in enumerate(BEST)}
    known = [product(item_id, **fields.get(name, {})) for name, item_id in ranked.items()]
    return [*known, product("new-0", **fields.get("new", {})), product("new-1")]


def listed(model: ServingModel, items: list[StoredItem], k: int = 10, **settings: object) -> RankedList:
    """Of somebody of whom nothing is known: by popularity, but for what the placement says."""
    return recommend(RecommendationRequest(k), None, stocked(model, SHOP, items, **settings))


def positions(ranked: RankedList, source: str) -> list[int]:
    return [item.rank for item in ranked.items if item.source == source]


def test_shares_are_spread_over_the_list(model: ServingModel) -> None:
    sources = [{"kind": "personal"}, {"kind": "pinned", "share": 0.2, "items": [BEST[50], BEST[40], BEST[45]]}]
    ranked = listed(model, goods(), sources=sources)
    assert positions(ranked, "pinned") == [5, 10]
    assert ids(ranked) == [*BEST[:4], BEST[50], *BEST[4:8], BEST[40]]


def test_a_share_is_rounded_up_and_what_comes_by_its_value_counts_for_it(model: ServingModel) -> None:
    sources = [
        {"kind": "personal"},
        {"kind": "pinned", "share": 0.21, "items": [BEST[0], BEST[40], BEST[45], BEST[46]]},
    ]
    ranked = listed(model, goods(), sources=sources)
    assert [item_id for item_id in ids(ranked) if item_id in (BEST[0], BEST[40], BEST[45], BEST[46])] == [
        BEST[0],
        BEST[40],
        BEST[45],
    ]


def test_two_sources_that_are_owed_all_of_a_list_both_get_their_part(model: ServingModel) -> None:
    sources = [
        {"kind": "pinned", "share": 0.5, "items": BEST[30:40]},
        {"kind": "fresh", "share": 0.5},
        {"kind": "personal"},
    ]
    ranked = listed(model, goods(), k=4, sources=sources)
    assert sorted(item.source for item in ranked.items) == ["fresh", "fresh", "pinned", "pinned"]


def test_a_source_that_has_too_little_leaves_the_rest_to_others(model: ServingModel) -> None:
    ranked = listed(model, goods(), sources=[{"kind": "personal"}, {"kind": "fresh", "share": 0.5}])
    assert len(positions(ranked, "fresh")) == 2
    assert len(ranked.items) == 10


def test_what_a_rule_promotes_stands_at_its_position_whatever_sources_make_of_it(model: ServingModel) -> None:
    """Also where it would have come earlier, and where no source proposed it at all."""
    items = goods(n0={"brand": "best"}, n55={"brand": "worst"}, n2={"brand": "twice"}, n1={"brand": "twice"})
    rules = [
        {"when": {"brand": [brand]}, "then": "promote", "position": at}
        for brand, at in (("best", 4), ("worst", 2), ("twice", 6))
    ]
    ranked = listed(model, items, k=6, rules=rules, sources=[{"kind": "personal", "depth": 10}])
    assert ids(ranked) == [BEST[2], BEST[55], BEST[3], BEST[0], BEST[4], BEST[1]]
    assert positions(ranked, "promoted") == [2, 4, 6]


def test_an_item_that_only_a_rule_brings_in_stands_nowhere_else(model: ServingModel) -> None:
    items = goods(n0={"brand": "b"}, n1={"brand": "b"})
    rules = [{"when": {"brand": ["b"]}, "then": "promote", "position": 3}]
    sources = [{"kind": "pinned", "items": BEST[20:30]}, {"kind": "fresh"}]
    assert ids(listed(model, items, rules=rules, sources=sources)) == [*BEST[20:22], BEST[0], *BEST[22:29]]


def test_of_two_rules_for_one_position_the_later_gets_the_next(model: ServingModel) -> None:
    items = goods(n55={"brand": "b"}, n56={"brand": "c"})
    rules = [{"when": {"brand": [brand]}, "then": "promote", "position": 1} for brand in ("c", "b")]
    assert ids(listed(model, items, k=3, rules=rules)) == [BEST[56], BEST[55], BEST[0]]


def test_a_cap_counts_what_is_promoted_before_it_lets_others_in(model: ServingModel) -> None:
    items = goods(n0={"brand": "b"}, n1={"brand": "b"}, n9={"brand": "b", "price": Decimal(1), "currency": "EUR"})
    rules = [{"when": {"price": {"max": 1}}, "then": "promote", "position": 3}]
    caps = [{"field": "brand", "most": 2}]
    assert ids(listed(model, items, k=4, rules=rules, caps=caps)) == [BEST[0], BEST[2], BEST[9], BEST[3]]


def test_a_rule_promotes_in_its_time_alone(model: ServingModel) -> None:
    items = goods(n55={"brand": "b"})
    rule = {"when": {"brand": ["b"]}, "then": "promote", "position": 1, "starts": NOW, "ends": NOW + 60}
    firsts = [ids(listed(model, items, now=NOW + at, rules=[rule]))[0] for at in (-1, 0, 59, 60)]
    assert firsts == [BEST[0], BEST[55], BEST[55], BEST[0]]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_in_a_diverse_list_too_what_has_no_score_comes_when_all_that_has_one_is_gone(
    model: ServingModel, method: str
) -> None:
    """Unlike all others as it is, for want of a vector."""
    ranked = listed(model, goods(), k=62, diversity={"method": method, "weight": 0.9})
    assert {*ids(ranked)[60:]} == {"new-0", "new-1"}
    assert [item.item_id for item in ranked.items if item.score is None] == ids(ranked)[60:]


def test_a_request_may_ask_for_more_or_less_diversity_than_the_placement(model: ServingModel) -> None:
    view = stocked(model, SHOP, goods(), diversity={"method": "mmr", "weight": 0.5})
    lists = [
        ids(recommend(RecommendationRequest(10, diversity=weight), None, view)) for weight in (None, 0.0, 0.5, 1.0)
    ]
    assert lists[1] == BEST[:10]
    assert lists[0] == lists[2] != lists[1]
    assert lists[3] not in lists[:3]
