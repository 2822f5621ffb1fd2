"""A feed over HTTP: two servers of a cell with one Redis, a server with files, and the example that is shipped."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from feature_store.encryption import own_keys
from feature_store.item_schemas import Post, Visibility
from feature_store.item_store_redis import open_redis_items
from feature_store.redis_settings import RedisSettings
from feature_store.social_graph import Tie
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from serving.config import ServingConfig
from serving.placements.file import parse_placements
from serving.placements.settings import Placement
from tests.redis_server import RedisServer
from tests.serving.items_file import put
from tests.serving.published import Publisher
from tests.serving.running import ROOT, Server, config_of, keys_file, started, until
from tests.serving.stocked import content_of

Given = TypeVar("Given")

EXAMPLE = ROOT / "examples" / "placements" / "social.toml"
PLACEMENTS = parse_placements(EXAMPLE, EXAMPLE.read_bytes())
AUTHORS = ("ann", "bob", "cy", "dan", "eve", "zoe")
NOW = time.time()


def post(item_id: str, author: str, age: float, visibility: Visibility = "public") -> Post:
    return Post(item_id=item_id, vertical="social", author=author, created=NOW - age, visibility=visibility)


POSTS = [
    *(post(f"item-{n}", AUTHORS[n % 6], 3600.0 * n) for n in range(60)),
    post("bobs-new", "bob", 60.0),
    post("bobs-circle", "bob", 120.0, "followers"),
    post("zoes-circle", "zoe", 30.0, "followers"),
    post("anns-diary", "ann", 90.0, "private"),
    post("bobs-diary", "bob", 90.0, "private"),
]


def finished(work: Coroutine[Any, Any, Given]) -> Given:
    return asyncio.run(work)


async def change(server: RedisServer, keys: Path, *, add: tuple[Tie, ...] = (), remove: tuple[Tie, ...] = ()) -> None:
    async with open_redis_graph(RedisSettings(url=server.url), own_keys(keys)) as graph:
        await graph.add(add)
        await graph.remove(remove)


def authors_of(reply: Any) -> set[str]:
    authors = {one.item_id: one.author for one in POSTS}
    return {authors[item["item_id"]] for item in reply["items"]}


def items_of(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def view(user_id: str, item_id: str, event: str = "view") -> dict[str, str]:
    return {"event_id": f"{event}-{item_id}", "user_id": user_id, "item_id": item_id, "event": event}


def feed(server: Server, user_id: str = "ann", **more: Any) -> Any:
    return server.ask(placement="feed", user_id=user_id, **more)


def has_all_posts(server: Server) -> None:
    """Return when the server has the whole catalogue: whoever asks for all gets the last one put."""
    public = sum(one.visibility == "public" for one in POSTS)
    until(lambda: len(server.ask(placement="all", k=99)["items"]) == public, server.log)


def test_a_block_a_mute_and_a_hidden_post_are_gone_from_the_next_reply_of_both_servers_of_a_cell(
    publisher: Publisher, redis_server: RedisServer, tmp_path: Path
) -> None:
    keys = tmp_path / "cell.keys"
    own_keys(keys)
    place = RedisSettings(url=redis_server.url)
    config = config_of(
        publisher,
        redis=place,
        items_redis=place,
        store_keys=keys,
        placements={
            **PLACEMENTS,
            "all": Placement(vertical="social", respects_graph=True, repeats={"default": "show"}),
        },
    )
    model_id = publisher.publish(content_of("social"))

    async def fill() -> None:
        async with open_redis_items(place) as items:
            await items.upsert(POSTS)

    finished(fill())
    finished(change(redis_server, keys, add=(Tie("friend", "ann", "bob"), Tie("follow", "ann", "cy"))))
    with ExitStack() as running:
        servers = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            servers.append(running.enter_context(started(config, tmp_path / name)))
            servers[-1].serves(model_id)
            has_all_posts(servers[-1])
        one, two = servers
        one.post(view("ann", "item-2"), view("bob", "item-11")).raise_for_status()

        for server in servers:
            reply = feed(server)
            assert reply["meta"]["degraded"] == []
            assert len(reply["items"]) == 10
            assert "bobs-new" in items_of(reply)
            everything = items_of(feed(server, k=99)) + items_of(server.ask(placement="all", user_id="ann", k=99))
            assert {"anns-diary", "bobs-circle"} <= set(everything)
            assert not {"zoes-circle", "bobs-diary"} & set(everything)
            assert [item["source"] for item in reply["items"]].count("graph") >= 4

        changes = [
            ({"add": (Tie("block", "bob", "ann"),)}, {"bob"}),
            ({"add": (Tie("mute", "ann", "cy"),)}, {"bob", "cy"}),
            ({"add": (Tie("block", "ann", "zoe"),)}, {"bob", "cy", "zoe"}),
            ({"remove": (Tie("mute", "ann", "cy"),)}, {"bob", "zoe"}),
        ]
        for tie, hidden in changes:
            finished(change(redis_server, keys, **tie))
            changed = time.monotonic()
            replies = [server.ask(placement="all", user_id="ann", k=99) for server in servers]
            assert time.monotonic() - changed < 1.0
            for reply in replies:
                assert authors_of(reply) == {*AUTHORS} - hidden
                assert reply["meta"]["degraded"] == []
        assert authors_of(two.ask(placement="all", user_id="dan", k=99)) == {*AUTHORS}

        wanted = items_of(feed(one))[0]
        two.post(view("ann", wanted, "hide")).raise_for_status()
        assert all(wanted not in items_of(feed(server, k=99)) for server in servers)

        redis_server.kill()
        reply = one.ask(placement="all", user_id="ann", k=99)
        # The catalogue may have been looked at since.
        assert {*reply["meta"]["degraded"]} - {"catalogue-stale"} == {"store-unavailable", "graph-unavailable"}
        assert not {"bobs-circle", "zoes-circle", "anns-diary", "bobs-diary"} & set(items_of(reply))
        assert len(reply["items"]) == sum(post.visibility == "public" for post in POSTS)
        assert one.metric('hearth_degraded_total{reason="graph-unavailable"}') > 0

        redis_server.start()
        until(lambda: authors_of(one.ask(placement="all", user_id="ann", k=99)) == {*AUTHORS} - {"bob", "zoe"}, one.log)
        assert not any(word in server.log() for server in servers for word in ("ann", "bobs-circle", "zoe"))


def with_files(publisher: Publisher, folder: Path) -> ServingConfig:
    """Of a server that has all in files, with all posts and no ties yet."""
    config = config_of(
        publisher,
        store=folder / "store.sqlite",
        social_graph=folder / "graph.sqlite",
        items=folder / "items.sqlite",
        placements={**PLACEMENTS, "all": Placement(vertical="social", respects_graph=True)},
    )
    put(config.items, POSTS)
    return config


def test_a_server_with_files_honours_ties_that_the_command_line_imports_while_it_runs(
    publisher: Publisher, tmp_path: Path
) -> None:
    config = with_files(publisher, tmp_path)
    with started(config, tmp_path) as server:
        server.serves(publisher.publish(content_of("social")))
        has_all_posts(server)
        assert "bobs-circle" not in items_of(server.ask(placement="all", user_id="ann", k=99))
        for kind, other in (("friend", "bob"), ("mute", "cy")):
            ties = tmp_path / f"{kind}.csv"
            ties.write_text(f"user_id,friend_id\nann,{other}\n")
            command = ["people", "import-ties", str(ties), "--kind", kind, "--store", str(config.social_graph)]
            subprocess.run(
                [sys.executable, "-m", "hearth", *command, "--store-key", str(keys_file(config.store))],
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        reply = server.ask(placement="all", user_id="ann", k=99)
        assert "bobs-circle" in items_of(reply)
        assert authors_of(reply) == {*AUTHORS} - {"cy"}


def test_a_blocked_author_stays_hidden_while_the_store_of_people_is_lost(publisher: Publisher, tmp_path: Path) -> None:
    config = with_files(publisher, tmp_path)

    async def tie() -> None:
        async with open_sqlite_graph(config.social_graph, own_keys(keys_file(config.store))) as graph:
            await graph.add([Tie("block", "ann", "zoe"), Tie("friend", "ann", "bob")])

    finished(tie())
    with started(config, tmp_path) as server:
        server.serves(publisher.publish(content_of("social")))
        has_all_posts(server)
        for file in tmp_path.glob("store.sqlite*"):
            file.unlink()
        for placement, lost in (("all", ["store-unavailable"]), ("feed", ["store-unavailable", "friends-unavailable"])):
            reply = server.ask(placement=placement, user_id="ann", k=99)
            assert authors_of(reply) == {*AUTHORS} - {"zoe"}
            assert "bobs-circle" in items_of(reply) or placement == "feed"  # whose caps leave some of bob's out
            assert reply["meta"]["degraded"] == lost


def test_a_placement_that_asks_the_graph_is_refused_where_there_is_none(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'feed' asks the social graph"):
        config_of(publisher, placements=PLACEMENTS)
    with pytest.raises(ValidationError, match="social_graph is a file beside store"):
        config_of(publisher, social_graph=tmp_path / "graph.sqlite")


def test_the_shipped_feed_keeps_to_its_caps_and_gives_the_graph_and_new_authors_their_shares() -> None:
    feed = PLACEMENTS["feed"]
    assert (feed.respects_graph, feed.uses_graph) == (True, True)
    assert {source.kind: source.share for source in feed.sources} == {"graph": 0.4, "personal": 0.0, "new_authors": 0.1}
