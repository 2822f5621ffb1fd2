"""Ads over a real socket: priced, capped, paid for once and within budgets, and gone where anything cannot be read."""

import asyncio
import concurrent.futures
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feature_store.ad_counters import Cap, Spent
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.ad_counters_sqlite import open_sqlite_counters
from feature_store.encryption import KeyRing, own_keys
from feature_store.errors import BadInput
from feature_store.item_schemas import Ad, PlainItem, StoredItem
from feature_store.redis_settings import RedisSettings
from serving.placements.file import parse_placements
from serving.placements.settings import Placement
from tests.redis_server import running_redis
from tests.serving.items_file import put
from tests.serving.published import Publisher, draft, popular
from tests.serving.running import ROOT, Server, config_of, keys_file, started, until

ADS: Mapping[str, Any] = {"currency": "EUR", "prior_clicks": 1.0, "prior_shows": 100.0}
FILMS: list[StoredItem] = [PlainItem(item_id=f"item-{row}", vertical="films") for row in range(60)]


def ad(vertical: str, item_id: str, bid: str, **fields: Any) -> Ad:
    of_all = {"advertiser": f"of-{item_id}", "currency": "EUR", "safety": "general"}
    return Ad(**of_all | {"item_id": item_id, "vertical": vertical, "bid": Decimal(bid)} | fields)


@contextmanager
def served(folder: Path, ads: list[Ad], changes: Mapping[str, Mapping[str, Any]], **config: Any) -> Iterator[Server]:
    """A server that shows the ads of each vertical at a placement of its name, and those of `among` at `home` too.

    changes: vertical -> what the settings of its ads have in place of `ADS`.
    """
    publisher = Publisher(folder)
    model_id = publisher.publish(draft(1))
    items = folder / "items.sqlite"
    put(items, [*ads, *FILMS])
    placements = {
        vertical: {"vertical": vertical, "repeats": {"default": "show"}, "ads": {**ADS, **changes.get(vertical, {})}}
        for vertical in {one.vertical for one in ads}
    }
    if "among" in placements:
        placements["home"] = {"vertical": "films", "sponsored": {"placement": "among", "first": 2, "gap": 3}}
    place: dict[str, Any] = {"store": folder / "store.sqlite", "ad_counters": folder / "ads.sqlite"}
    if "redis" in config:
        place = {}
    shown = {name: Placement.model_validate(said) for name, said in placements.items()}
    place |= {"items": items, "placements": shown, "ads_seconds": 0.05, "catalogue_seconds": 0.05} | config
    with started(config_of(publisher, **place), folder) as server:
        server.serves(model_id)
        for placement in placements:
            until(lambda name=placement: not _without_ads(server, name), lambda: "ads stay away")
        yield server


def _without_ads(server: Server, placement: str) -> Any:
    reply = server.ask(placement=placement, k=4, user_id="anna-waits")
    return reply if "ads-unavailable" in reply["meta"]["degraded"] else None


class World:
    """A server with ads in many verticals, one for each test, and a look into its counters."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server

    def ask(self, placement: str, **body: Any) -> Any:
        return self.server.ask(placement=placement, **body)

    def post(self, *events: object) -> Any:
        response = self.server.post(*events)
        assert response.status_code == 207, response.text
        return response.json()["events"]

    def spent(self, campaign: str) -> Spent:
        async def read() -> Spent:
            async with open_sqlite_counters(self.folder / "ads.sqlite", self._keys()) as counters:
                return await counters.spent(campaign)

        return asyncio.run(read())

    def times_shown(self, person: str, item_id: str) -> int:
        async def read() -> list[int]:
            async with open_sqlite_counters(self.folder / "ads.sqlite", self._keys()) as counters:
                return await counters.shown(person, [Cap(item_id, 1000)])

        return asyncio.run(read())[0]

    def _keys(self) -> KeyRing:
        return own_keys(keys_file(self.folder / "store.sqlite"))


SPRING = Decimal("1.00")
ALL_ADS = [
    ad("priced", "low", "0.10"),
    ad("priced", "high", "0.40"),
    ad("priced", "middle", "0.25"),
    ad("paid", "dear", "0.40", budget=Decimal(9)),
    ad("paid", "cheap", "0.25"),
    ad("spent", "rich", "0.50", campaign="spring", budget=SPRING, daily_budget=SPRING),
    ad("spent", "poor", "0.30"),
    ad("capped", "twice", "0.90", frequency_cap=2),
    ad("capped", "always", "0.30"),
    ad("held", "once", "0.90", frequency_cap=1),
    ad("aimed", "unrated", "9.00", safety="unrated"),
    ad("aimed", "sensitive", "9.00", safety="sensitive"),
    ad("aimed", "over", "9.00", ends=1000.0),
    ad("aimed", "later", "9.00", starts=9e9),
    ad("aimed", "dollars", "9.00", currency="USD"),
    ad("aimed", "phones", "8.00", targeting={"device": ("phone",), "region": ("DE", "AT")}),
    ad("aimed", "anybody", "0.10"),
    ad("taken", "first", "0.90"),
    ad("taken", "second", "0.30"),
    *(ad("among", f"ad-{n}", f"0.{9 - n}0") for n in range(5)),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("ads")
    with served(folder, ALL_ADS, {"spent": {"pace": "off"}, "held": {"hold_seconds": 0.3}}) as server:
        yield World(folder, server)


def ids(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def followed(reply: Any, item_id: str, kind: str, user_id: str = "anna", **fields: Any) -> dict[str, Any]:
    """The event of somebody who saw, or clicked, an item of that reply."""
    named = reply["recommendation_id"]
    event = {"event_id": f"{kind}-{named}-{item_id}", "user_id": user_id, "item_id": item_id, "event": kind}
    return event | {"vertical": "ads", "recommendation_id": named} | fields


def at_once(steps: Sequence[Callable[[], Any]]) -> list[Any]:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [one.result() for one in [pool.submit(step) for step in steps]]


def test_each_ad_carries_its_bid_and_the_price_that_the_next_one_implies(world: World) -> None:
    reply = world.ask("priced", k=2)
    assert [(one["item_id"], one["rank"], one["source"]) for one in reply["items"]] == [
        ("high", 1, "ad"),
        ("middle", 2, "ad"),
    ]
    first, second = (one["ad"] for one in reply["items"])
    assert first == {
        "currency": "EUR",
        "bid_micros": 400_000,
        "click_rate": 0.01,
        "ecpm": pytest.approx(4.0),
        "price_micros": 250_001,
        "campaign": "high",
    }
    assert (second["bid_micros"], second["price_micros"]) == (250_000, 100_001)
    assert world.ask("priced", k=9)["items"][-1]["ad"]["price_micros"] == 1


def test_a_click_is_paid_once_at_the_price_of_its_reply_and_by_no_other_name(world: World) -> None:
    reply = world.ask("paid", k=1, user_id="anna")
    click = followed(reply, "dear", "click")
    assert [world.post(click)[0]["status"] for _ in range(2)] == [201, 200]
    assert world.spent("paid/EUR/dear") == Spent(250_001, 250_001)
    unseen = followed(reply, "cheap", "click")  # was not in that reply
    invented = followed(reply | {"recommendation_id": "0" * 32}, "dear", "click", event_id="e2")
    nameless = {name: value for name, value in click.items() if name != "recommendation_id"} | {"event_id": "e3"}
    assert [one["status"] for one in world.post(unseen, invented, nameless)] == [201, 201, 201]
    assert (world.spent("paid/EUR/dear"), world.spent("paid/EUR/cheap")) == (Spent(250_001, 250_001), Spent(0, 0))
    assert world.server.metric('hearth_ad_events_total{outcome="unknown"}') == 2
    assert reply["recommendation_id"] not in world.server.log()
    [misnamed] = world.post(followed(reply | {"recommendation_id": "such"}, "dear", "click"))
    assert misnamed["problem"]["errors"][0]["pointer"] == "#/events/0/recommendation_id"


def test_clicks_at_once_never_spend_more_than_the_budget_and_a_spent_ad_goes(world: World) -> None:
    replies = [world.ask("spent", k=1) for _ in range(12)]
    assert {ids(reply)[0] for reply in replies} == {"rich"}
    clicks = [followed(reply, "rich", "click", f"person-{n}") for n, reply in enumerate(replies)]
    at_once([lambda event=event: world.post(event) for event in [*clicks, *clicks]])

    price = 300_001
    assert world.spent("spent/EUR/spring") == Spent(3 * price, 3 * price)
    assert world.server.metric('hearth_ad_events_total{outcome="over-budget"}') >= 9
    until(lambda: ids(world.ask("spent", k=2)) == ["poor"], lambda: "it stays")


def test_a_frequency_cap_holds_at_once_and_the_next_best_ad_takes_the_place(world: World) -> None:
    shown = at_once([lambda: ids(world.ask("capped", k=1, user_id="anna"))] * 16)
    assert sorted(shown) == [["always"]] * 14 + [["twice"]] * 2
    assert ids(world.ask("capped", k=1, user_id="bert")) == ["twice"]
    assert ids(world.ask("capped", k=2)) == ["always"]  # to somebody whose shows nobody can count
    assert world.times_shown("anna", "twice") == 2


def test_a_show_that_nobody_confirms_is_taken_back_and_one_that_is_stays(world: World) -> None:
    assert ids(world.ask("held", user_id="anna")) == ["once"]
    assert ids(world.ask("held", user_id="anna")) == []
    until(lambda: world.times_shown("anna", "once") == 0, lambda: "it stays")
    again = world.ask("held", user_id="anna")
    assert ids(again) == ["once"]
    world.post(followed(again, "once", "impression"))
    bert = world.ask("held", user_id="bert")
    assert ids(bert) == ["once"]
    until(lambda: world.times_shown("bert", "once") == 0, lambda: "it stays")
    assert world.times_shown("anna", "once") == 1
    world.post(followed(bert, "once", "impression", "bert"))  # too late, and counted anew
    assert world.times_shown("bert", "once") == 1
    assert ids(world.ask("held", user_id="bert")) == []


def test_ads_for_others_unsafe_out_of_flight_or_in_another_currency_are_not_shown(world: World) -> None:
    assert ids(world.ask("aimed")) == ["anybody"]
    context = {"device": "phone"}
    assert ids(world.ask("aimed", context=context)) == ["anybody"]
    assert ids(world.ask("aimed", context=context, attributes={"region": "DE"})) == ["phones", "anybody"]
    said_twice = {"region": "DE", "device": "phone"}
    assert ids(world.ask("aimed", context={"device": "tv"}, attributes=said_twice)) == ["anybody"]


def test_an_ad_that_is_taken_out_or_no_longer_safe_is_gone_from_the_next_replies(world: World) -> None:
    assert ids(world.ask("taken")) == ["first", "second"]
    put(world.folder / "items.sqlite", [ad("taken", "second", "0.30", safety="restricted")], remove=("first",))
    until(lambda: ids(world.ask("taken")) == [], lambda: "they stay")


def test_ads_among_films_keep_their_distance_and_the_films_their_order(world: World) -> None:
    reply = world.ask("home", k=10)
    films = [item_id for item_id, _ in popular(draft(1), 10)]
    assert ids(reply) == [films[0], "ad-0", *films[1:4], "ad-1", *films[4:7], "ad-2"]
    assert [item["rank"] for item in reply["items"]] == list(range(1, 11))
    assert [item["source"] == "ad" for item in reply["items"]] == ["ad" in item for item in reply["items"]]
    assert ids(world.ask("home", k=2, exclude_item_ids=["ad-0"])) == [films[0], "ad-1"]


def test_where_anything_cannot_be_read_or_written_there_are_no_ads_and_films_stay(tmp_path: Path) -> None:
    films = [item_id for item_id, _ in popular(draft(1), 4)]
    with served(tmp_path, [ad("among", "first", "0.90", frequency_cap=900)], {}) as server:
        for file, table in (("items.sqlite", "verticals"), ("ads.offers.sqlite", "offers"), ("ads.sqlite", "shows")):
            rename(tmp_path / file, table, "away")
            without = until(lambda: _without_ads(server, "home"), lambda: "ads stay")
            assert ids(without) == films
            alone = server.ask(placement="among", user_id="anna")
            assert (alone["items"], alone["meta"]["degraded"][-1]) == ([], "ads-unavailable")
            rename(tmp_path / file, "away", table)
            until(lambda: not _without_ads(server, "home"), lambda: "ads stay away")

        reply = server.ask(placement="among", user_id="anna")
        rename(tmp_path / "ads.sqlite", "costs", "away")
        failed = server.post(followed(reply, "first", "click"))
        assert (failed.status_code, failed.json()["type"]) == (503, "/problems/store-unavailable")
        rename(tmp_path / "ads.sqlite", "away", "costs")
        server.post(followed(reply, "first", "click")).raise_for_status()
        assert World(tmp_path, server).spent("among/EUR/first") == Spent(1, 1)
        of_reply = f'{{arm="",model_id="{reply["model_id"]}",placement="among"}}'
        assert server.metric(f"hearth_clicked_total{of_reply}") == 1


def test_who_was_counted_is_exported_and_erased_though_no_placement_shows_ads_today(tmp_path: Path) -> None:
    with served(tmp_path, [ad("ads", "capped", "0.50", frequency_cap=3)], {}) as server:
        assert ids(server.ask(placement="ads", user_id="anna")) == ["capped"]
    place = {"store": tmp_path / "store.sqlite", "ad_counters": tmp_path / "ads.sqlite"}
    publisher = Publisher(tmp_path)
    with started(config_of(publisher, **place), tmp_path) as server:
        exported = server.client.post("/v1/privacy/exports", json={"user_id": "anna"}).json()
        assert [shown["ad"] for shown in exported["ad_counters"]["shown_ads"]] == ["capped"]
        erased = server.client.post("/v1/privacy/erasures", json={"user_id": "anna"}).json()
        assert (erased["removed"]["ad_counters"], erased["complete"]) == (1, True)
    assert World(tmp_path, server).times_shown("anna", "capped") == 0
    (tmp_path / "ads.offers.sqlite").write_bytes(b"no database")
    with started(config_of(publisher, **place, store_timeout_seconds=0.3), tmp_path) as server:
        for right in ("exports", "erasures"):
            refused = server.client.post(f"/v1/privacy/{right}", json={"user_id": "anna"})
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-unavailable")


def test_two_servers_of_one_redis_share_caps_offers_and_budgets(tmp_path: Path) -> None:
    ads = [ad("ads", "capped", "0.50", frequency_cap=3, budget=Decimal("0.50")), ad("ads", "free", "0.30")]
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    keys = own_keys(tmp_path / "redis.keys")
    with running_redis(tmp_path) as redis, ExitStack() as open_:
        place = RedisSettings(url=redis.url)
        changes = {"ads": {"pace": "off"}}
        config: Any = {"redis": place, "store_keys": tmp_path / "redis.keys"}
        one, two = (open_.enter_context(served(folder, ads, changes, **config)) for folder in folders)
        replies = at_once([lambda at=at: at.ask(placement="ads", k=1, user_id="anna") for at in (one, two) * 6])
        assert sorted(map(ids, replies)) == [["capped"]] * 3 + [["free"]] * 9
        clicks = [followed(reply, "capped", "click") for reply in replies if ids(reply) == ["capped"]]
        for click in clicks:  # each sent to both
            assert [server.post(click).status_code for server in (two, one)] == [207, 207]

        async def of_campaign() -> Spent:
            async with open_redis_counters(place, keys) as counters:
                return await counters.spent("ads/EUR/capped")

        assert asyncio.run(of_campaign()) == Spent(300_001, 300_001)  # the second would leave it above its budget


def test_the_example_is_a_file_of_placements(tmp_path: Path) -> None:
    file = ROOT / "examples" / "placements" / "ads.toml"
    content = file.read_bytes()
    placements = parse_placements(file, content)
    assert placements["banner"].ads is not None
    place = {"store": tmp_path / "store.sqlite", "items": tmp_path / "i.sqlite", "ad_counters": tmp_path / "ads.sqlite"}
    config = config_of(Publisher(tmp_path), placements=placements, **place)
    assert config.placements["front-page"].sponsored is not None
    told = r"'front-page' takes ads from 'banner', which is no placement with ads of the same tenant"
    with pytest.raises(ValueError, match=told):
        config_of(Publisher(tmp_path), placements={"front-page": placements["front-page"]})
    others = content.replace(b'vertical = "news"', b'vertical = "news"\ntenant = "theirs"')
    with pytest.raises(BadInput, match=rf"ads\.toml: .*{told}"):
        parse_placements(file, others)


def rename(store: Path, before: str, after: str) -> None:
    """A failure that is real: the table is not there."""
    with closing(sqlite3.connect(store, timeout=10.0)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
        connection.commit()
