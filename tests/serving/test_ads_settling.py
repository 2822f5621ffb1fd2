"""Which events are about ads: the reply says so, else the catalogue, else the ledger."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feature_store.ad_counters import Spent
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.item_store_memory import InMemoryItemStore
from serving.ads.books import Books
from serving.ads.desk import AdDesk
from serving.ads.known import Vertical
from serving.ads.ledger import Offer
from serving.ads.ledger_memory import InMemoryLedger
from serving.ads.settings import AdsSettings
from serving.ads.settling import settle
from serving.assortment.assortment import Assortment
from serving.attribution import Attribution, Origin
from serving.ingest import Judged
from serving.metrics import Metrics, create_metrics
from serving.placements.settings import Placement
from tests.serving.items_file import put
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started, until
from tests.serving.test_ads_http import ADS, FILMS, World, ad, followed, ids, rename

TEA = Offer(ad="tea", campaign="spring", price=7)


class Places:
    """One vertical of ads, with tea in its catalogue or with nothing."""

    def __init__(self, *, has_tea: bool) -> None:
        self._shown = Assortment(None, (), has_catalogue=True)
        if has_tea:
            self._shown.put([ad("ads", "tea", "0.50")])

    def verticals(self) -> Sequence[Vertical]:
        return [Vertical("ads", (AdsSettings(currency="EUR"),))]

    def assortment(self, vertical: str) -> Assortment | None:
        return self._shown if vertical == "ads" else None


def clicked(reply: str, item_id: str, kind: str = "click") -> Judged:
    return Judged({0: Event("e1", "anna", item_id, kind, 1e9)}, {}, {0: reply})


def counted(metrics: Metrics) -> dict[str, float]:
    [found] = metrics.ad_events.collect()
    return {one.labels["outcome"]: one.value for one in found.samples if one.name.endswith("_total")}


def settled(judged: Judged, attribution: Attribution, *, has_tea: bool) -> tuple[dict[str, float], Spent]:
    """What is counted, and spent, of events where r1 is a reply in the ledger that has offered tea."""

    async def run() -> tuple[dict[str, float], Spent]:
        books, metrics = Books(InMemoryAdCounters(), InMemoryLedger()), create_metrics()
        await books.ledger.offer("r1", [TEA])
        desk = AdDesk(Places(has_tea=has_tea), InMemoryItemStore(), 5.0)
        await desk.look(books)
        await settle(judged, desk, attribution, metrics)
        return counted(metrics), await books.counters.spent("spring")

    return asyncio.run(run())


PAID = ({"paid": 1.0}, Spent(7, 7))
NOTHING: tuple[dict[str, float], Spent] = ({}, Spent(0, 0))


@pytest.mark.parametrize("has_tea", [True, False])
def test_a_click_is_paid_whether_or_not_the_catalogue_still_has_the_ad(has_tea: bool) -> None:  # noqa: FBT001 - a case
    remembers = Attribution()
    remembers.remember("r1", Origin("home", "m"), ["heat", "tea"], now=1e12, ads={"tea"})
    for attribution in (Attribution(), remembers):
        assert settled(clicked("r1", "tea"), attribution, has_tea=has_tea) == PAID
        assert settled(clicked("r1", "tea", "impression"), attribution, has_tea=has_tea)[0] == {"shown": 1.0}
        assert settled(clicked("r1", "tea", "view"), attribution, has_tea=has_tea) == NOTHING
        assert settled(clicked("r1", "heat"), attribution, has_tea=has_tea) == NOTHING


def test_an_item_that_was_no_ad_in_its_reply_is_none_though_an_ad_has_its_name() -> None:
    attribution = Attribution()
    attribution.remember("r2", Origin("home", "m"), ["tea"], now=1e12)
    assert settled(clicked("r2", "tea"), attribution, has_tea=True) == NOTHING
    assert settled(clicked("r2", "tea"), Attribution(), has_tea=True) == ({"unknown": 1.0}, Spent(0, 0))


def test_events_of_replies_that_the_server_remembers_need_no_books_and_others_are_sent_again() -> None:
    attribution = Attribution()
    attribution.remember("r2", Origin("home", "m"), ["heat"], now=1e12)

    async def run(judged: Judged, **kept: Any) -> None:
        await settle(judged, AdDesk(Places(has_tea=False), None, 5.0, **kept), attribution, create_metrics())

    asyncio.run(run(clicked("r2", "heat"), is_kept=True))
    with pytest.raises(StoreUnavailable):
        asyncio.run(run(clicked("r3", "heat"), is_kept=True))
    asyncio.run(run(clicked("r3", "heat")))  # books in memory that nobody has opened have offered nothing


def test_a_click_on_an_ad_that_was_taken_out_is_paid_after_a_swap_and_after_a_restart_without_its_catalogue(
    publisher: Publisher, tmp_path: Path
) -> None:
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    items = tmp_path / "items.sqlite"
    stays = ad("ads", "stays", "0.10")
    put(items, [ad("ads", "gone", "0.90", budget=Decimal(9)), stays, *FILMS])
    placements = {
        "ads": Placement.model_validate({"vertical": "ads", "repeats": {"default": "show"}, "ads": ADS}),
        "home": Placement.model_validate({"vertical": "films"}),
    }
    place: dict[str, Any] = {"store": tmp_path / "store.sqlite", "ad_counters": tmp_path / "ads.sqlite"}
    seconds = {"ads_seconds": 0.05, "catalogue_seconds": 0.05}
    config = config_of(publisher, items=items, placements=placements, **place, **seconds)
    with started(config, tmp_path) as server:
        server.serves(first)
        world = World(tmp_path, server)
        until(lambda: world.ask("ads")["items"], server.log)
        swapped, restarted, films = (world.ask(name, user_id="anna") for name in ("ads", "ads", "home"))
        price = swapped["items"][0]["ad"]["price_micros"]
        put(items, [stays], remove=("gone",))
        until(lambda: ids(world.ask("ads")) == ["stays"], server.log)
        publisher.registry.promote(second)
        server.serves(second)
        world.post(followed(swapped, "gone", "click"))
        assert world.spent("ads/EUR/gone") == Spent(price, price)
    rename(items, "verticals", "away")
    with started(config, tmp_path) as server:
        world = World(tmp_path, server)
        server.serves(second)
        world.post(followed(restarted, "gone", "click"), followed(films, ids(films)[0], "click"))
        assert world.spent("ads/EUR/gone") == Spent(2 * price, 2 * price)
        outcomes = {name: server.metric(f'hearth_ad_events_total{{outcome="{name}"}}') for name in ("paid", "unknown")}
        assert outcomes == {"paid": 1, "unknown": 0}
