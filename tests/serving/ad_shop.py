"""A vertical of ads at one placement, without a server: a desk that keeps its books in memory, and what it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.item_schemas import Ad
from feature_store.item_store_memory import InMemoryItemStore
from serving.ads.books import Books
from serving.ads.desk import AdDesk
from serving.ads.known import Vertical
from serving.ads.ledger_memory import InMemoryLedger
from serving.ads.lineup import Placed
from serving.ads.settings import AdsSettings
from serving.assortment.assortment import Assortment
from serving.model import ServingModel, build_model
from serving.placements.settings import Placement
from serving.recommend import asked_of
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.published import Publisher, draft

NOON = 86400.0 * 20_000 + 43_200
EUROS = AdsSettings(currency="EUR")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServingModel:
    publisher = Publisher(tmp_path_factory.mktemp("model"))
    return build_model(publisher.registry.load(publisher.publish(draft(1))))


def ad(item_id: str, bid: str = "1", **fields: Any) -> Ad:
    of_all = {"advertiser": "tea", "currency": "EUR", "safety": "general", "vertical": "ads"}
    return Ad(**of_all | {"item_id": item_id, "bid": Decimal(bid)} | fields)


def replace_settings(**changes: Any) -> AdsSettings:
    return AdsSettings.model_validate({"currency": "EUR"} | changes)


@dataclass
class Shop:
    """One vertical of ads at one placement, as the server has it."""

    model: ServingModel
    ads: list[Ad]
    settings: AdsSettings = EUROS
    placement: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shown = Assortment(None, (), has_catalogue=True)
        self.shown.put(self.ads)

    def verticals(self) -> list[Vertical]:
        return [Vertical("ads", (self.settings,))]

    def assortment(self, vertical: str) -> Assortment | None:
        return self.shown if vertical == "ads" else None

    def view(self, seed: int = 1, now: float = NOON) -> View:
        said = {"vertical": "ads", "ads": self.settings, "repeats": {"default": "show"}} | self.placement
        return View(Placement.model_validate(said), self.model, self.shown, now, seed)

    async def desk(self, books: Books) -> AdDesk:
        desk = AdDesk(self, InMemoryItemStore(), 5.0)
        await desk.look(books)
        return desk

    async def ask(
        self, desk: AdDesk, k: int = 3, reply: str = "r1", seed: int = 1, now: float = NOON, **request: Any
    ) -> list[Placed]:
        asked = asked_of(RecommendationRequest(k, **request), None, self.view(seed, now))
        return await desk.choose(asked, self.settings, k, reply)


def in_memory() -> Books:
    return Books(InMemoryAdCounters(lambda: NOON), InMemoryLedger())


async def of_new_desk(shop: Shop, **request: Any) -> list[Placed]:
    return await shop.ask(await shop.desk(in_memory()), **request)


def names(shop: Shop, placed: list[Placed]) -> list[str]:
    return [shop.shown.item_id(one.place) for one in placed]
