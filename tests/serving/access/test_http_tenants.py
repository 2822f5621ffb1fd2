"""Tenants of one server over a real socket: what one's people do moves no list, count or budget of another."""

import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feature_store.item_schemas import Ad, PlainItem, Post
from tests.serving.access.keyed import KeyFile, post_events, recommend
from tests.serving.items_file import put
from tests.serving.published import Publisher
from tests.serving.running import ROOT, Server, config_of, keys_file, started, until
from tests.serving.stocked import content_of

TENANTS = {"shop": "shop", "forum": "forum", "chief": None}  # key -> tenant
ADS = {"currency": "EUR", "prior_clicks": 1.0, "prior_shows": 100.0}
NOW = time.time()


def placements_of(tenant: str | None) -> dict[str, Any]:
    name = tenant or "chief"
    own = {} if tenant is None else {"tenant": tenant}
    again = {"repeats": {"default": "show"}}
    return {
        f"{name}-new": {"vertical": "films", "sources": [{"kind": "fresh"}], **again, **own},
        f"{name}-feed": {"vertical": "social", "respects_graph": True, **own},
        f"{name}-ads": {"vertical": "ads", "ads": ADS, **again, **own},
    }


class Shared(NamedTuple):
    """The server, a key of each tenant and one of nobody's, and the folder that it runs in."""

    server: Server
    keys: KeyFile
    folder: Path

    def ask(self, name: str, place: str, **body: object) -> Any:
        reply = recommend(self.server, self.keys.secrets[name], f"{name}-{place}", **body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def tell(self, name: str, *events: object) -> None:
        told = post_events(self.server, self.keys.secrets[name], *events).json()["events"]
        assert {event["status"] for event in told} == {201}, told

    def counted(self, sample: str) -> float:
        return self.server.metric(sample)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("tenants")
    keys, publisher = KeyFile(folder / "keys.json"), Publisher(folder)
    for name, tenant in TENANTS.items():
        keys.add(name, "recommend", "ingest", **({} if tenant is None else {"tenant": tenant}))

    new = [PlainItem(item_id=f"new-{n}", vertical="films") for n in range(10)]
    posts = [
        Post(item_id=item_id, vertical="social", author=who, created=NOW - 60)
        for item_id, who in (("bobs", "bob"), ("cys", "cy"))
    ]
    ad = Ad(item_id="ad", vertical="ads", bid=Decimal("0.40"), currency="EUR", safety="general", advertiser="a")
    put(folder / "items.sqlite", [*new, *posts, ad])
    model_id = publisher.publish(content_of("films"))
    config = config_of(
        publisher,
        store=folder / "store.sqlite",
        items=folder / "items.sqlite",
        social_graph=folder / "graph.sqlite",
        ad_counters=folder / "ads.sqlite",
        ads_seconds=0.05,
        catalogue_seconds=0.05,
        api_keys=keys.file,
        open_metrics=True,
        placements={name: said for tenant in TENANTS.values() for name, said in placements_of(tenant).items()},
    )
    with started(config, folder) as server:
        server.serves(model_id)
        shared = Shared(server, keys, folder)
        until(lambda: len(shared.ask("chief", "feed")["items"]) == 2, server.log)
        until(lambda: len(shared.ask("chief", "new", k=10)["items"]) == 10, server.log)
        until(lambda: shared.ask("chief", "ads")["items"], server.log)
        yield shared


def ids(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def click(number: int, item_id: str, **fields: object) -> dict[str, object]:
    return {
        "event_id": f"{number}-{item_id}",
        "user_id": f"person-{number}",
        "item_id": item_id,
        "event": "click",
    } | fields


def test_what_is_clicked_at_one_tenant_moves_no_list_of_another(shared: Shared) -> None:
    """Each tenant's people click another item; without tenants nobody does, and what comes first is open there."""
    liked = {"shop": "new-7", "forum": "new-3"}
    for name, item_id in liked.items():
        shared.tell(name, *(click(number, item_id) for number in range(200)))
    first = {name: {ids(shared.ask(name, "new", k=3))[0] for _ in range(25)} for name in TENANTS}
    assert first["shop"] == {"new-7"}
    assert first["forum"] == {"new-3"}
    assert len(first["chief"]) > 2


def test_an_event_that_names_another_tenants_reply_is_counted_nowhere(shared: Shared) -> None:
    model_id = shared.server.model_id()
    for number, owner in enumerate(TENANTS):
        named = shared.ask(owner, "new")["recommendation_id"]
        labels = f'arm="",model_id="{model_id}",placement="{owner}-new"'
        samples = [f"hearth_{what}_total{{{labels}}}" for what in ("shown", "clicked")]
        for other in TENANTS:
            if other != owner:
                seen = click(1000 + number, "new-1", recommendation_id=named)
                shared.tell(other, seen, seen | {"event_id": f"seen-{number}", "event": "impression"})
        assert [shared.counted(sample) for sample in samples] == [0, 0]
        seen = click(2000 + number, "new-1", recommendation_id=named)
        shared.tell(owner, seen, seen | {"event_id": f"seen-{number}", "event": "impression"})
        assert [shared.counted(sample) for sample in samples] == [1, 1]


def test_a_click_that_names_another_tenants_reply_costs_no_advertiser_anything(shared: Shared) -> None:
    outcome = 'hearth_ad_events_total{{outcome="{}"}}'.format
    for number, owner in enumerate(TENANTS):
        named = shared.ask(owner, "ads")["recommendation_id"]
        paid, unknown = shared.counted(outcome("paid")), shared.counted(outcome("unknown"))
        for other in TENANTS:
            if other != owner:
                shared.tell(other, click(3000 + number, "ad", recommendation_id=named))
        assert (shared.counted(outcome("paid")), shared.counted(outcome("unknown"))) == (paid, unknown + 2)
        shared.tell(owner, click(4000 + number, "ad", recommendation_id=named))
        assert shared.counted(outcome("paid")) == paid + 1


def test_ties_that_are_imported_for_a_tenant_are_those_of_its_people_alone(shared: Shared) -> None:
    ties, key = shared.folder / "mutes.csv", keys_file(shared.folder / "store.sqlite")
    for tenant, muted in (("shop", "bob"), ("forum", "cy")):
        ties.write_text(f"user_id,friend_id\nanna,{muted}\n")
        command = ["people", "import-ties", str(ties), "--kind", "mute", "--store", str(shared.folder / "graph.sqlite")]
        subprocess.run(
            [sys.executable, "-m", "hearth", *command, "--store-key", str(key), "--tenant", tenant],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    seen = {name: set(ids(shared.ask(name, "feed", user_id="anna"))) for name in TENANTS}
    assert seen == {"shop": {"cys"}, "forum": {"bobs"}, "chief": {"bobs", "cys"}}
