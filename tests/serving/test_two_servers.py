"""Two servers of a cell with one Redis: hidden, sold out, erased through one of them is so at both within a second.

Blocks and mutes are in test_social.py.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from feature_store.encryption import own_keys
from feature_store.item_store_redis import open_redis_items
from feature_store.redis_settings import RedisSettings
from tests.redis_server import running_redis
from tests.serving.published import Publisher
from tests.serving.running import Server, config_of, started
from tests.serving.test_e_commerce import CONTENT, GOODS, PLACEMENTS, SHOP, listed


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("cell")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    own_keys(folder / "cell.keys")
    (folder / "redis").mkdir()
    with ExitStack() as running:
        redis = running.enter_context(running_redis(folder / "redis", "--appendonly", "yes"))
        place = RedisSettings(url=redis.url)
        asyncio.run(stock(place))
        config = config_of(
            publisher, redis=place, items_redis=place, store_keys=folder / "cell.keys", placements=PLACEMENTS
        )
        servers = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            servers.append(running.enter_context(started(config, folder / name)))
            servers[-1].serves(model_id)
        yield servers[0], servers[1]


async def stock(place: RedisSettings) -> None:
    async with open_redis_items(place) as items:
        await items.upsert(list(GOODS.values()))


def tell(server: Server, item_id: str, kind: str) -> None:
    event = {"event_id": f"{kind}-{item_id}", "user_id": "anna", "item_id": item_id, "event": kind, "vertical": SHOP}
    server.post(event).raise_for_status()


def all_within_a_second_of(change: Callable[[], object], *conditions: Callable[[], bool]) -> None:
    """Each condition holds at most a second after the change was answered, and goes on to hold."""
    change()
    end = time.monotonic() + 1.0
    while not all(condition() for condition in conditions):
        assert time.monotonic() < end, "it was not so after a second"
    assert all(condition() for condition in conditions)


def shows(server: Server, item_id: str) -> Callable[[], bool]:
    return lambda: item_id in listed(server, "product-page", user_id="anna")


def hides(server: Server, item_id: str) -> Callable[[], bool]:
    return lambda: not shows(server, item_id)()


def test_what_a_person_hides_at_one_server_both_leave_out(cell: tuple[Server, Server]) -> None:
    one, two = cell
    assert shows(one, "item-21")()
    assert shows(two, "item-21")()
    all_within_a_second_of(lambda: tell(one, "item-21", "hide"), hides(one, "item-21"), hides(two, "item-21"))


def test_what_is_put_without_stock_at_one_server_both_stop_selling(cell: tuple[Server, Server]) -> None:
    one, two = cell
    assert shows(two, "item-22")()
    sold_out = GOODS["item-22"].model_copy(update={"stock": 0}).model_dump(mode="json", exclude_none=True)

    def put() -> None:
        reply = one.client.put("/v1/items/item-22", params={"vertical": SHOP}, json=sold_out)
        assert reply.is_success, reply.text

    all_within_a_second_of(put, hides(one, "item-22"), hides(two, "item-22"))


def test_a_person_whom_one_server_erased_neither_knows(cell: tuple[Server, Server]) -> None:
    one, two = cell
    tell(one, "item-23", "hide")
    assert hides(two, "item-23")()

    def erase() -> None:
        receipt = two.client.post("/v1/privacy/erasures", json={"user_id": "anna"})
        assert receipt.status_code == 201, receipt.text

    all_within_a_second_of(erase, shows(one, "item-23"), shows(two, "item-23"))
    for server in cell:
        known = server.client.post("/v1/privacy/exports", json={"user_id": "anna"}).json()
        assert "item-23" not in str(known)
