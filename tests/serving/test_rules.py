"""The rules of a placement on random catalogues, people and requests; what they mean is worked out item by item."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.item_schemas import Article, Product, StoredItem
from serving.model import ServingModel
from serving.placements.settings import Placement
from serving.recommend import RankedList, recommend
from serving.request import RecommendationRequest
from tests.serving.stocked import NOW, content_of, ids, model_of, person, stocked

KNOWN = 24
HOUR = 3600.0
SHOP = "e-commerce"
NAMES = ("a", "b", "c")
ITEM_IDS = (*(f"item-{n}" for n in range(KNOWN)), *(f"new-{n}" for n in range(12)))
KINDS = ("personal", "popular", "fresh", "similar", "pinned")

seeds = st.integers(0, 2**64)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ServingModel]:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for vertical in ("e-commerce", "news"):
        (folder / vertical).mkdir()
        made[vertical] = model_of(folder / vertical, content_of(vertical, items=KNOWN))
    return made


def some(random: Random, among: Sequence[str], most: int, least: int = 0) -> list[str]:
    return random.sample(among, random.randint(least, most))


def product(random: Random, item_id: str) -> Product:
    price = random.choice([None, *range(1, 30)])
    return Product(
        item_id=item_id,
        vertical="e-commerce",
        categories=tuple(some(random, NAMES, 2)),
        brand=random.choice([None, *NAMES]),
        price=None if price is None else Decimal(price),
        currency=None if price is None else "EUR",
        stock=random.choice([None, 0, 1, 2]),
    )


def article(random: Random, item_id: str) -> Article:
    published = NOW + HOUR * random.randint(-48, 2)
    lasts = random.choice([None, None, *range(1, 60)])
    return Article(
        item_id=item_id,
        vertical="news",
        published=published,
        expires=None if lasts is None else published + HOUR * lasts,
        categories=tuple(some(random, NAMES, 2)),
        topic=random.choice([None, *NAMES]),
        source=random.choice([None, *NAMES]),
    )


def condition(random: Random, vertical: str) -> dict[str, Any]:
    """Of one field or two that the vertical's items have."""
    made = {
        "categories": some(random, NAMES, 2, 1),
        "item_id": some(random, ITEM_IDS, 20, 1),
        **({"brand": some(random, NAMES, 2, 1), "price": {"max": random.randint(3, 30)}} if vertical == SHOP else {}),
        **({"topic": some(random, NAMES, 2, 1)} if vertical == "news" else {}),
    }
    return {name: made[name] for name in some(random, list(made), 2, 1)}


def rule(random: Random, vertical: str) -> dict[str, Any]:
    then = random.choice(["hide", "promote", "boost"])
    needed = {
        "hide": {},
        "promote": {"position": random.randint(1, 8)},
        "boost": {"factor": random.uniform(0.1, 9)},
    }
    window = random.choice([{}, {}, {"starts": NOW - 1}, {"starts": NOW + 1}, {"ends": NOW}, {"ends": NOW + 1}])
    return {"when": condition(random, vertical), "then": then, **needed[then], **window}


def placement(random: Random, vertical: str) -> dict[str, Any]:
    def at_times() -> dict[str, Any]:
        return condition(random, vertical) if random.random() < 0.2 else {}

    kinds = some(random, KINDS, len(KINDS), 1)
    sources = [
        {
            "kind": kind,
            "share": random.choice([0.0, 0.1, 0.2, 1 / len(kinds)]) if len(kinds) < 5 else 0.2,
            "depth": random.choice([2, 300]),
            **({"items": some(random, ITEM_IDS, 6, 1)} if kind == "pinned" else {}),
        }
        for kind in kinds
    ]
    fields = ("categories", "brand") if vertical == SHOP else ("topic", "source")
    return {
        "sources": sources,
        "in_stock": random.random() < 0.8,
        "where": at_times(),
        "repeats": {"default": random.choice(["hide", "show"]), "show": at_times(), "hide": at_times()},
        "rules": [rule(random, vertical) for _ in range(random.randint(0, 3))],
        "half_life_hours": random.choice([None, 0.5, 10.0]),
        "caps": [{"field": name, "most": random.randint(1, 3)} for name in some(random, fields, 2)],
        "diversity": random.choice([None, {"method": "mmr"}, {"method": "dpp"}]),
    }


@dataclass(frozen=True)
class Case:
    vertical: str
    items: list[StoredItem]
    settings: dict[str, Any]
    k: int
    met: list[str]
    hidden: list[str]
    excluded: list[str]
    filters: dict[str, Any]
    like: str | None
    seed: int
    placement: Placement = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "placement", Placement.model_validate(self.settings))

    @property
    def latest(self) -> dict[str, StoredItem]:
        """What the catalogue says of each item: what was put last."""
        return {item.item_id: item for item in self.items}

    def list_on(self, models: Mapping[str, ServingModel]) -> RankedList:
        view = stocked(models[self.vertical], self.vertical, self.items, seed=self.seed, **self.settings)
        request = RecommendationRequest(
            self.k,
            user_id="anna",
            exclude_item_ids=tuple(self.excluded),
            filters=Placement.model_validate({"where": self.filters}).where,
            like_item_id=self.like,
        )
        return recommend(request, person(*self.met, hidden=self.hidden), view)

    def eligible(self) -> dict[str, StoredItem]:
        return {item_id: item for item_id, item in self.latest.items() if self._is_eligible(item)}

    def _is_eligible(self, item: StoredItem) -> bool:
        if item.item_id in {*self.hidden, *self.excluded, self.like}:
            return False
        if isinstance(item, Product) and self.placement.in_stock and item.stock == 0:
            return False
        if isinstance(item, Article) and not (item.published <= NOW < (item.expires or math.inf)):
            return False
        if not (fits(item, self.settings["where"]) and fits(item, self.filters)):
            return False
        if any(
            rule["then"] == "hide" and in_force(rule) and fits(item, rule["when"]) for rule in self.settings["rules"]
        ):
            return False
        repeats = self.settings["repeats"]
        shown, hidden = (bool(repeats[name]) and fits(item, repeats[name]) for name in ("show", "hide"))
        again = not hidden and (shown or repeats["default"] == "show")
        return item.item_id not in self.met or again


def fits(item: StoredItem, condition: dict[str, Any]) -> bool:
    for name, wanted in condition.items():
        value = getattr(item, name, None)
        if name == "price":
            if value is None or value > wanted["max"]:
                return False
        elif not {*wanted} & ({*value} if isinstance(value, tuple) else {value}):
            return False
    return True


def in_force(rule: dict[str, Any]) -> bool:
    return rule.get("starts", 0) <= NOW < rule.get("ends", math.inf)


def first_name(item: StoredItem, name: str) -> str | None:
    value = getattr(item, name, None)
    return (value[0] if value else None) if isinstance(value, tuple) else value


def case_of(seed: int, *, vertical: str | None = None, **settings: object) -> Case:
    """All of it, from one number; some settings may be given."""
    random = Random(seed)  # noqa: S311 - of a test, no secret
    chosen = vertical or random.choice([SHOP, "news"])
    item_of = product if chosen == SHOP else article
    filters = condition(random, chosen) if random.random() < 0.2 else {}
    return Case(
        vertical=chosen,
        items=[item_of(random, random.choice(ITEM_IDS)) for _ in range(random.randint(0, 60))],
        settings=placement(random, chosen) | settings,
        k=random.choice([*range(1, 12), 40]),
        met=some(random, ITEM_IDS, 8),
        hidden=some(random, ITEM_IDS, 2),
        excluded=some(random, ITEM_IDS, 2),
        filters=filters,
        like=random.choice([None, *ITEM_IDS[::5]]),
        seed=random.getrandbits(128),
    )


def test_what_is_drawn_is_worth_drawing() -> None:
    """Most lists have a choice to make: the properties below would hold for empty ones, whatever was wrong."""
    drawn = [case_of(seed) for seed in range(200)]
    assert sum(len(case.eligible()) >= 5 for case in drawn) > 100
    assert sum(len(case.eligible()) > case.k for case in drawn) > 60


@given(seeds)
def test_nothing_that_may_not_be_shown_is_ever_in_a_list(models: dict[str, ServingModel], seed: int) -> None:
    case = case_of(seed)
    listed = ids(case.list_on(models))
    assert len(set(listed)) == len(listed) <= case.k
    assert set(listed) <= set(case.eligible())


@given(seeds)
def test_no_cap_is_broken_and_a_list_is_short_only_where_caps_allow_no_more(
    models: dict[str, ServingModel], seed: int
) -> None:
    case = case_of(seed)
    listed, eligible, caps = ids(case.list_on(models)), case.eligible(), case.placement.caps
    counts = {cap.field: Counter(first_name(eligible[item_id], cap.field) for item_id in listed) for cap in caps}
    for cap in caps:
        assert all(number <= cap.most for name, number in counts[cap.field].items() if name is not None)
    if len(listed) < case.k:
        for item_id in set(eligible) - set(listed):
            full = [cap for cap in caps if counts[cap.field][first_name(eligible[item_id], cap.field)] == cap.most]
            assert any(first_name(eligible[item_id], cap.field) is not None for cap in full)
    if len(caps) <= 1:
        there = Counter(first_name(item, cap.field) for item in eligible.values() for cap in caps)
        most = sum(number if name is None else min(number, caps[0].most) for name, number in there.items())
        assert len(listed) == min(case.k, most if caps else len(eligible))


@given(seeds)
def test_what_is_promoted_stands_at_its_position(models: dict[str, ServingModel], seed: int) -> None:
    """Of the first rule at least: others may find their position, their item or the room under a cap taken."""
    case = case_of(seed)
    ranked, eligible = case.list_on(models), case.eligible()
    promoting = [rule for rule in case.settings["rules"] if rule["then"] == "promote" and in_force(rule)]
    if not promoting or promoting[0]["position"] > case.k:
        return
    rule = promoting[0]
    wanted = [item_id for item_id, item in eligible.items() if fits(item, rule["when"])]
    if wanted and len(promoting) == 1:
        at = min(rule["position"], len(ranked.items))
        assert ranked.items[at - 1].item_id in wanted
        assert ranked.items[at - 1].source == "promoted"
    elif wanted and len(ranked.items) == case.k:
        assert ranked.items[rule["position"] - 1].item_id in wanted
    assert len([item for item in ranked.items if item.source == "promoted"]) <= len(promoting)


@given(seeds)
def test_a_source_has_its_share_of_the_list_where_it_has_the_items(models: dict[str, ServingModel], seed: int) -> None:
    """Without caps, where what is promoted and what the sources are owed go into the list together."""
    case = case_of(seed, caps=[])
    listed, eligible = ids(case.list_on(models)), case.eligible()
    owed = {source.kind: math.ceil(source.share * case.k - 1e-9) for source in case.placement.sources}
    promoting = sum(rule["then"] == "promote" and in_force(rule) for rule in case.settings["rules"])
    if sum(owed.values()) + promoting > case.k:
        return
    known = {item_id for item_id in eligible if item_id.startswith("item-")}
    theirs = {
        "personal": known,
        "popular": known,
        "fresh": set(eligible) - known,
        "pinned": {item_id for source in case.settings["sources"] for item_id in source.get("items", ())}
        & set(eligible),
    }
    for kind, number in owed.items():
        if kind in theirs:
            assert len(theirs[kind] & set(listed)) >= min(number, len(theirs[kind]), depth_of(case, kind))


def depth_of(case: Case, kind: str) -> int:
    source = case.placement.source(kind)
    return max(source.depth if source else 0, case.k)


@given(seeds)
def test_the_same_seed_makes_the_same_list(models: dict[str, ServingModel], seed: int) -> None:
    case = case_of(seed)
    assert case.list_on(models) == case.list_on(models)
