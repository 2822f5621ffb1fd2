"""The rules of a placement on random catalogues, people and requests; what they mean is worked out item by item."""

import math
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
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
names = st.sampled_from(["a", "b", "c"])
item_ids = st.sampled_from([f"item-{n}" for n in range(KNOWN)] + [f"new-{n}" for n in range(12)])
several_ids = st.lists(item_ids, max_size=6, unique=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ServingModel]:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for vertical in ("e-commerce", "news"):
        (folder / vertical).mkdir()
        made[vertical] = model_of(folder / vertical, content_of(vertical, items=KNOWN))
    return made


@st.composite
def products(draw: st.DrawFn) -> Product:
    price = draw(st.none() | st.integers(1, 30))
    return Product(
        item_id=draw(item_ids),
        vertical="e-commerce",
        categories=tuple(draw(st.lists(names, max_size=2, unique=True))),
        brand=draw(st.none() | names),
        price=None if price is None else Decimal(price),
        currency=None if price is None else "EUR",
        stock=draw(st.none() | st.integers(0, 2)),
    )


@st.composite
def articles(draw: st.DrawFn) -> Article:
    published = NOW + HOUR * draw(st.integers(-48, 2))
    lasts = draw(st.none() | st.integers(1, 60))
    return Article(
        item_id=draw(item_ids),
        vertical="news",
        published=published,
        expires=None if lasts is None else published + HOUR * lasts,
        categories=tuple(draw(st.lists(names, max_size=2, unique=True))),
        topic=draw(st.none() | names),
        source=draw(st.none() | names),
    )


conditions = st.fixed_dictionaries(
    {},
    optional={
        "categories": st.lists(names, min_size=1, max_size=2),
        "brand": st.lists(names, min_size=1, max_size=2),
        "topic": st.lists(names, min_size=1, max_size=2),
        "price": st.fixed_dictionaries({"max": st.integers(3, 30)}),
        "item_id": st.lists(item_ids, min_size=1, max_size=20),
    },
).filter(lambda condition: len(condition) < 3)
some_condition = conditions.filter(bool)
windows = st.sampled_from([{}, {"starts": NOW - 1}, {"starts": NOW + 1}, {"ends": NOW}, {"ends": NOW + 1}])


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    then = draw(st.sampled_from(["hide", "promote", "boost"]))
    needed = {
        "hide": {},
        "promote": {"position": draw(st.integers(1, 8))},
        "boost": {"factor": draw(st.floats(0.1, 9))},
    }
    return {"when": draw(some_condition), "then": then, **needed[then], **draw(windows)}


@st.composite
def sources(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(
        st.lists(st.sampled_from(["personal", "popular", "fresh", "similar", "pinned"]), min_size=1, unique=True)
    )
    made: list[dict[str, Any]] = []
    for kind in kinds:
        share = draw(st.sampled_from([0.0, 0.1, 0.2, 1 / len(kinds)]))
        made.append({"kind": kind, "share": min(share, 1 / len(kinds)), "depth": draw(st.sampled_from([2, 300]))})
        if kind == "pinned":
            made[-1]["items"] = draw(several_ids.filter(bool))
    return made


@st.composite
def placements(draw: st.DrawFn) -> dict[str, Any]:
    caps = [{"field": name, "most": draw(st.integers(1, 3))} for name in ("categories", "brand", "topic", "source")]
    return {
        "sources": draw(sources()),
        "in_stock": draw(st.booleans()),
        "where": draw(st.just({}) | conditions),
        "repeats": {
            "default": draw(st.sampled_from(["hide", "show"])),
            "show": draw(st.just({}) | conditions),
            "hide": draw(st.just({}) | conditions),
        },
        "rules": draw(st.lists(rules(), max_size=3)),
        "half_life_hours": draw(st.none() | st.floats(0.5, 50)),
        "caps": draw(st.lists(st.sampled_from(caps), max_size=2, unique_by=lambda cap: cap["field"])),
        "diversity": draw(st.none() | st.fixed_dictionaries({"method": st.sampled_from(["mmr", "dpp"])})),
    }


@dataclass(frozen=True)
class Case:
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

    def list_on(self, model: ServingModel) -> RankedList:
        vertical = next(iter(model.verticals))
        view = stocked(model, vertical, self.items, seed=self.seed, **self.settings)
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


def cases(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        items=st.lists(items, max_size=40),
        settings=placements(),
        k=st.integers(1, 20),
        met=several_ids,
        hidden=st.lists(item_ids, max_size=2),
        excluded=st.lists(item_ids, max_size=2),
        filters=st.just({}) | conditions,
        like=st.none() | item_ids,
        seed=st.integers(0, 2**128 - 1),
    )


any_case = st.one_of(st.tuples(st.just("e-commerce"), cases(products())), st.tuples(st.just("news"), cases(articles())))


@given(any_case)
def test_nothing_that_may_not_be_shown_is_ever_in_a_list(
    models: dict[str, ServingModel], drawn: tuple[str, Case]
) -> None:
    vertical, case = drawn
    listed = ids(case.list_on(models[vertical]))
    assert len(set(listed)) == len(listed) <= case.k
    assert set(listed) <= set(case.eligible())


@given(any_case)
def test_no_cap_is_broken_and_a_list_is_short_only_where_caps_allow_no_more(
    models: dict[str, ServingModel], drawn: tuple[str, Case]
) -> None:
    vertical, case = drawn
    listed, eligible, caps = ids(case.list_on(models[vertical])), case.eligible(), case.placement.caps
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


@given(any_case)
def test_what_is_promoted_stands_at_its_position(models: dict[str, ServingModel], drawn: tuple[str, Case]) -> None:
    """Of the first rule at least: others may find their position, their item or the room under a cap taken."""
    vertical, case = drawn
    ranked, eligible = case.list_on(models[vertical]), case.eligible()
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


@given(any_case)
def test_a_source_has_its_share_of_the_list_where_it_has_the_items(
    models: dict[str, ServingModel], drawn: tuple[str, Case]
) -> None:
    """Without caps, and where what is promoted and what the sources are owed go into the list together."""
    vertical, case = drawn
    case = Case(
        **{name: getattr(case, name) for name in case.__dataclass_fields__ if name != "placement"} | uncapped(case)
    )
    listed, eligible = ids(case.list_on(models[vertical])), case.eligible()
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


def uncapped(case: Case) -> dict[str, Any]:
    return {"settings": {**case.settings, "caps": []}}


def depth_of(case: Case, kind: str) -> int:
    source = case.placement.source(kind)
    return max(source.depth if source else 0, case.k)


@given(any_case)
def test_the_same_seed_makes_the_same_list(models: dict[str, ServingModel], drawn: tuple[str, Case]) -> None:
    vertical, case = drawn
    assert case.list_on(models[vertical]) == case.list_on(models[vertical])
