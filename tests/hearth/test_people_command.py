"""`hearth people`: rights of a person and a change of keys, in SQLite files and a Redis, as an operator types them."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.ad_counters import Cap
from feature_store.cell import CellFiles, open_cell
from feature_store.embedding import UserEmbedding
from feature_store.encryption import keys_from_file, own_keys
from feature_store.events import Event
from feature_store.redis_settings import RedisSettings
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.social_graph import Tie
from feature_store.social_graph_sqlite import open_sqlite_graph
from serving.access.tenants import person_of
from tests.feature_store.drafts import a_draft
from tests.hearth.command import Command, Ended
from tests.redis_server import RedisServer, running_redis

Run = Callable[..., Ended]
VECTOR = np.arange(1, 9, dtype=np.float32)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def run(command: Command) -> Iterator[Run]:
    with command.server() as run:
        yield run


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


class Place:
    """A cell with three people in it, and the options by which the command line finds it."""

    def __init__(self, where: CellFiles | RedisSettings, keys: Path, options: tuple[str | Path, ...]) -> None:
        self.where, self.keys, self.options = where, keys, options
        own_keys(keys)
        asyncio.run(self._fill())

    def events(self, user_id: str) -> int:
        async def count() -> int:
            async with open_cell(self.where, keys_from_file(self.keys)) as cell:
                return len((await cell.stores.events.get(user_id)).events)

        return asyncio.run(count())

    async def _fill(self) -> None:
        async with open_cell(self.where, keys_from_file(self.keys)) as cell:
            for name in ("anna", "ben", "cleo"):
                await cell.stores.events.put(
                    [Event(f"{name}-{day}", name, f"item-{day}", "view", 86_400.0 * day) for day in range(1, 5)]
                )
                await cell.stores.embeddings.put(name, UserEmbedding(VECTOR, "r0001-aa", 1))
            assert cell.social_graph is not None
            assert cell.ad_counters is not None
            await cell.social_graph.add([Tie("follow", "anna", "ben"), Tie("friend", "cleo", "anna")])
            await cell.ad_counters.try_show("anna", Cap("shoes", 3, 86_400.0), "impression-1")


def in_files(folder: Path) -> Place:
    files = CellFiles(folder / "people.sqlite", folder / "social.sqlite", folder / "ads.sqlite")
    options = (
        "--store",
        files.store,
        "--social-graph",
        folder / "social.sqlite",
        "--ad-counters",
        folder / "ads.sqlite",
    )
    return Place(files, folder / "store.keys", (*options, "--store-key", folder / "store.keys"))


def in_redis(server: RedisServer, folder: Path) -> Place:
    """With a password, in a file that a file of settings names."""
    with server.client() as client:
        client.config_set("requirepass", "of-the-cell")
    (folder / "password").write_text("of-the-cell\n")
    (folder / "password").chmod(0o600)
    (folder / "redis.toml").write_text(f'password_file = "{folder / "password"}"\n')
    settings = RedisSettings(url=server.url, password="of-the-cell")
    options = ("--store", server.url, "--redis-settings", folder / "redis.toml")
    return Place(settings, folder / "store.keys", (*options, "--store-key", folder / "store.keys"))


@pytest.fixture(params=["files", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "files":
        return in_files(tmp_path)
    return in_redis(request.getfixturevalue("redis_server"), tmp_path)


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_an_export_is_one_document_of_all_that_is_held(run: Run, place: Place, tmp_path: Path) -> None:
    document = run("people", "export", "anna", *place.options).json()
    assert (document["format"], document["user_id"]) == ("hearth-person/1", "anna")
    assert [event["item_id"] for event in document["events"]["events"]] == ["item-1", "item-2", "item-3", "item-4"]
    assert document["embeddings"]["embeddings"][0]["vector"] == VECTOR.tolist()
    told = json.dumps([document["social_graph"], document["ad_counters"]])
    assert all(word in told for word in ("ben", "cleo", "shoes"))

    out = tmp_path / "anna.json"
    assert run("people", "export", "anna", *place.options, "--out", out).status == 0
    assert json.loads(out.read_bytes()) == document
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert f"{out} is there already" in run("people", "export", "anna", *place.options, "--out", out).error()


def test_of_who_is_erased_nothing_is_left_and_the_receipt_says_so(run: Run, place: Place, tmp_path: Path) -> None:
    receipt = run("people", "erase", "anna", *place.options, "--yes", "--json").json()
    assert receipt["removed"] == {"events": 4, "embeddings": 1, "social_graph": 2, "ad_counters": 1}
    assert set(receipt["left"].values()) == {0}
    assert (receipt["complete"], receipt["files_rewritten"]) == (True, True)
    held = bytes_in(tmp_path)
    name = receipt["pseudonym"]
    assert len(held) > 1000
    assert not any(part in held for part in (b"anna", name.encode(), bytes.fromhex(name), VECTOR.tobytes()))
    assert (place.events("anna"), place.events("ben")) == (0, 4)
    assert (
        run("people", "export", "cleo", *place.options).json()["social_graph"]
        == (run("people", "export", "nobody", *place.options).json()["social_graph"])
    )


def test_what_is_older_than_a_day_is_forgotten(run: Run, place: Place) -> None:
    store = tuple(part for part in place.options if part not in {"--social-graph", "--ad-counters"})
    store = tuple(part for part in store if Path(part).name not in {"social.sqlite", "ads.sqlite"})
    for wrong in ("nan", "inf", "1e9"):
        assert "days since 1970 at most; got" in run("people", "forget", "--older-than", wrong, *store).error()
    assert place.events("ben") == 4
    done = run("people", "forget", "--before", "1970-01-04", *store, "--json").json()
    assert done == {"before": "1970-01-04T00:00:00+00:00", "events": 6}  # days 1 and 2 of three people
    assert (place.events("anna"), place.events("ben")) == (2, 2)
    assert run("people", "forget", "--older-than", "1", *store, "--json").json()["events"] == 6
    for both in ((), ("--older-than", "1", "--before", "1970-01-04")):
        assert "one of --older-than DAYS and --before DATE" in run("people", "forget", *both, *store).error()
    assert "--before is a day" in run("people", "forget", "--before", "yesterday", *store).error()


def test_keys_are_changed_without_losing_anybody(run: Run, place: Place) -> None:
    old = place.keys.read_text()
    added = run("people", "new-key", "--store-key", place.keys, "--json").json()
    assert place.keys.read_text().endswith(old)
    assert stat.S_IMODE(place.keys.stat().st_mode) == 0o600
    rotated = run("people", "rotate", *place.options, "--json").json()
    assert rotated["newest"] == added["newest"]
    assert rotated["sealed"] > 12
    assert run("people", "rotate", *place.options, "--json").json()["sealed"] == 0
    place.keys.write_text(place.keys.read_text().splitlines()[0] + "\n")
    document = run("people", "export", "anna", *place.options).json()
    assert len(document["events"]["events"]) == 4
    assert json.dumps(document["ad_counters"]).count("shoes") == 1


def test_a_collection_keeps_what_stored_people_need(run: Run, command: Command, tmp_path: Path) -> None:
    key = SigningKey.load_or_create(command.key)
    registry = Registry(tmp_path / "registry", TrustedKeys([key.public]))
    ids = [registry.publish(a_draft(seed), key).checkpoint_id for seed in (1, 2, 3)]
    for checkpoint_id in ids:
        registry.promote(checkpoint_id)
    place = in_files(tmp_path)

    async def embed() -> None:
        async with open_cell(place.where, keys_from_file(place.keys)) as cell:
            await cell.stores.embeddings.put("anna", UserEmbedding(VECTOR, ids[0], 1))

    asyncio.run(embed())
    common = ("models", "collect", "--registry", registry.folder, "--keep", "1", "--grace-hours", "0", "--json")
    assert run(*common).json()["removed"] == [ids[0]]
    kept = run(*common, "--store", tmp_path / "people.sqlite", "--store-key", place.keys).json()
    assert (kept["removed"], kept["kept"][ids[0]]) == ([], "needed")


def test_ties_are_imported_whole_or_not_at_all(run: Run, tmp_path: Path, redis_server: RedisServer) -> None:
    edges, keys = tmp_path / "edges.csv", tmp_path / "store.keys"
    edges.write_text("user_id,friend_id\n1,2\n2,3\n")
    for store in (tmp_path / "social.sqlite", redis_server.url):
        arguments = ("people", "import-ties", edges, "--kind", "friend", "--store", store, "--store-key", keys)
        assert run(*arguments, "--json").json() == {"lines": 2, "added": 2}
        assert run(*arguments, "--json").json() == {"lines": 2, "added": 0}
    slip = ("people", "import-ties", edges, "--kind", "friend", "--store", tmp_path / "social.sqlite", "--store-key")
    assert "there is no key file" in run(*slip, tmp_path / "slip.keys").error()
    nothing = ("people", "import-ties", tmp_path / "none.csv", "--kind", "friend", "--store", tmp_path / "new.sqlite")
    assert "none.csv cannot be read" in run(*nothing, "--store-key", tmp_path / "slip.keys").error()
    assert not (tmp_path / "slip.keys").exists()
    assert not (tmp_path / "new.sqlite").exists()
    edges.write_text("user_id,friend_id\n7,8\n7,7\n")
    assert "line 3" in run(*arguments).error()
    edges.write_text("user_id,friend_id\n7,8\n")
    assert run(*arguments, "--json").json()["added"] == 1


def test_ties_of_a_tenant_are_other_peoples_than_those_of_nobody(run: Run, tmp_path: Path) -> None:
    edges, keys, store = tmp_path / "edges.csv", tmp_path / "store.keys", tmp_path / "social.sqlite"
    arguments = ("people", "import-ties", edges, "--kind", "friend", "--store", store, "--store-key", keys)
    edges.write_text("user_id,friend_id\n1,2\n")
    for tenant in ((), ("--tenant", "shop"), ("--tenant", "forum")):
        assert run(*arguments, *tenant, "--json").json()["added"] == 1
        assert run(*arguments, *tenant, "--json").json()["added"] == 0

    async def friends() -> list[tuple[str, ...]]:
        async with open_sqlite_graph(store, keys_from_file(keys)) as graph:
            return [await graph.friends(person_of(tenant, "1")) for tenant in (None, "shop", "forum")]

    assert asyncio.run(friends()) == [(person_of(tenant, "2"),) for tenant in (None, "shop", "forum")]
    for line, said in ((",2", "person of a tie has 1 to 256"), (f"{'x' * 251},2", "at most 250 characters here")):
        edges.write_text(f"user_id,friend_id\n{line}\n")
        error = run(*arguments, "--tenant", "shop").error()
        assert "line 2" in error
        assert said in error


def test_a_slip_of_the_pen_is_said_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    place = in_files(tmp_path)
    nowhere = tmp_path / "slip.sqlite"
    key = ("--store-key", place.keys)
    assert f"there is no store {nowhere}" in run("people", "export", "anna", "--store", nowhere, *key).error()
    assert not nowhere.exists()
    asked = run("people", "erase", "anna", *place.options)
    assert "--yes says so beforehand" in asked.error()
    assert place.events("anna") == 4
    wrong: dict[str, tuple[Any, ...]] = {
        "USER has 1 to": ("export", "", *place.options),
        "there is no key file": ("export", "anna", "--store", place.options[1], "--store-key", tmp_path / "none.keys"),
        "--store: url: has no user or password in it": (
            "export",
            "anna",
            "--store",
            "redis://:hidden@cell.example",
            *key,
        ),
        "are for a Redis": ("export", "anna", *place.options, "--redis-settings", tmp_path / "redis.toml"),
        "a Redis holds": ("export", "anna", "--store", "redis://h", "--social-graph", tmp_path / "s", *key),
    }
    for told, arguments in wrong.items():
        error = run("people", *arguments).error()
        assert told in error, error
        assert "hidden" not in error


def test_the_person_can_be_named_on_stdin(command: Command, tmp_path: Path) -> None:
    place = in_files(tmp_path)
    reader, writer = os.pipe()
    os.write(writer, b"anna\n")
    os.close(writer)
    done = subprocess.run(
        [sys.executable, "-m", "hearth", "people", "export", "-", *map(str, place.options)],
        env=command.environment,
        stdin=reader,
        capture_output=True,
        check=True,
    )
    os.close(reader)
    assert json.loads(done.stdout)["user_id"] == "anna"
