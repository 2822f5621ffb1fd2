"""All social graphs keep one contract, agree with that in memory, and show nobody who has their files who is who."""

import asyncio
import gzip
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.encryption import KeyRing, new_key
from feature_store.errors import BadInput, CorruptStore, MalformedLine, UnknownKey
from feature_store.redis_rewriting import NOTE
from feature_store.redis_settings import RedisSettings
from feature_store.social_graph import OTHER_END, Relation, SocialGraph, Tie, TieKind, may_see
from feature_store.social_graph_import import import_ties
from feature_store.social_graph_memory import InMemorySocialGraph
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from tests.feature_store.social_graph_contract import STRANGER, SocialGraphContract, ties
from tests.redis_server import RedisServer, running_redis

KEYS = KeyRing([new_key()])
CANARIES = (b"canary-ada", b"canary-bob")

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), "--appendonly", "yes") as server:
        yield server


@pytest.fixture
def redis_settings(server: RedisServer) -> RedisSettings:
    with server.client() as client:
        client.flushall()
    return RedisSettings(url=server.url)


class TestInMemoryGraph(SocialGraphContract):
    @pytest.fixture
    def graph(self) -> SocialGraph:
        return InMemorySocialGraph()


class TestSQLiteGraph(SocialGraphContract):
    @pytest.fixture
    async def graph(self, tmp_path: Path) -> AsyncIterator[SocialGraph]:
        async with open_sqlite_graph(tmp_path / "graph.sqlite", KEYS) as graph:
            yield graph


class TestRedisGraph(SocialGraphContract):
    @pytest.fixture
    async def graph(self, redis_settings: RedisSettings) -> AsyncIterator[SocialGraph]:
        async with open_redis_graph(redis_settings, KEYS) as graph:
            yield graph


def bytes_of(folder: Path) -> bytes:
    return b"\n".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


PEOPLE = st.sampled_from("abc")
TIES = st.tuples(st.sampled_from(["follow", "friend", "block", "mute"]), PEOPLE, PEOPLE, st.integers(0, 3)).filter(
    lambda tie: tie[1] != tie[2]
)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "remove", "erase"]), TIES), max_size=20)


async def replayed(graph: SocialGraph, steps: list[tuple[str, tuple[TieKind, str, str, int]]]) -> list[object]:
    said: list[object] = []
    for step, (kind, person, other, time) in steps:
        tie = Tie(kind, person, other, time)
        match step:
            case "add":
                said.append(await graph.add([tie]))
            case "remove":
                said.append(await graph.remove([tie]))
            case _:
                said.append(await graph.erase(person))
    for person in "abc":
        said += [await graph.export(person), await graph.hidden_from(person), await graph.relations(person, "abc")]
    return said


@settings(max_examples=25)
@given(steps=STEPS)
def test_all_graphs_say_the_same(server: RedisServer, steps: list[tuple[str, tuple[TieKind, str, str, int]]]) -> None:
    async def on_sqlite() -> list[object]:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite_graph(Path(folder, "graph.sqlite"), KEYS) as graph:
                return await replayed(graph, steps)

    async def on_redis() -> list[object]:
        with server.client() as client:
            client.flushall()
        async with open_redis_graph(RedisSettings(url=server.url), KEYS) as graph:
            return await replayed(graph, steps)

    in_memory = asyncio.run(replayed(InMemorySocialGraph(), steps))
    assert asyncio.run(on_sqlite()) == in_memory
    assert asyncio.run(on_redis()) == in_memory


@given(steps=STEPS)
def test_the_rules_are_those_of_sets_of_pairs(steps: list[tuple[str, tuple[TieKind, str, str, int]]]) -> None:
    """An oracle without lists, ends or times: a set of pairs for each kind, a friendship as two of them."""
    pairs: dict[str, set[tuple[str, str]]] = {kind: set() for kind in ("follow", "friend", "block", "mute")}
    for step, (kind, person, other, _) in steps:
        both = {(person, other), (other, person)}
        meant = both if kind == "friend" else {(person, other)}
        if step == "erase":
            pairs = {name: {pair for pair in of if person not in pair} for name, of in pairs.items()}
        elif step == "remove":
            pairs[kind] -= meant
        elif kind in {"block", "mute"} or not pairs["block"] & both:
            pairs[kind] |= meant
            if kind == "block":
                pairs["follow"] -= both
                pairs["friend"] -= both

    async def relations() -> dict[tuple[str, str], Relation]:
        graph = InMemorySocialGraph()
        await replayed(graph, steps)
        return {(a, b): (await graph.relations(a, [b]))[0] for a in "abc" for b in "abc" if a != b}

    for (a, b), relation in asyncio.run(relations()).items():
        hidden = bool({(a, b), (b, a)} & pairs["block"]) or (a, b) in pairs["mute"]
        assert relation == Relation((a, b) in pairs["follow"], (a, b) in pairs["friend"], hidden)


def test_who_sees_what_follows_from_the_relation() -> None:
    following, friends = STRANGER._replace(follows=True), STRANGER._replace(friends=True)
    hidden = Relation(follows=True, friends=True, hidden=True)
    seen = {
        visibility: [may_see("ada", "bob", visibility, one) for one in (STRANGER, following, friends, hidden)]
        for visibility in ("public", "followers", "private")
    }
    assert seen == {
        "public": [True, True, True, False],
        "followers": [False, True, True, False],
        "private": [False, False, False, False],
    }
    assert may_see("ada", "ada", "private", STRANGER)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("follow", "ada", "ada"), "between two people; got one, with a follow to oneself"),
        (("like", "ada", "bob"), "a tie is a follow, friend, block or mute; got 'like'"),
        (("follow", "", "bob"), "person of a tie has 1 to 256 characters; got 0"),
        (("follow", "ada", "x" * 257), "other of a tie has 1 to 256 characters; got 257"),
        (("follow", "ada", "bob", 1.7e12), "seconds (not milliseconds)"),
    ],
)
def test_what_is_no_tie_is_refused(values: tuple[TieKind, str, str], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        Tie(*values)
    assert message in str(caught.value)


def test_the_other_end_of_the_other_end_is_this_one() -> None:
    assert all(OTHER_END[OTHER_END[name]] == name for name in OTHER_END)


async def test_a_file_shows_nobody_and_erased_ties_leave_no_row(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite"
    async with open_sqlite_graph(path, KEYS) as graph:
        await graph.add(ties("canary-ada follow canary-bob 5", "canary-bob block x"))
        with closing(sqlite3.connect(path)) as other:
            [rows] = other.execute("SELECT COUNT(*) FROM ties").fetchone()
            sealed = [value for (value,) in other.execute("SELECT sealed FROM ties")]
        assert rows == 4
        assert all(value in bytes_of(tmp_path) for value in sealed)
        assert all(canary not in bytes_of(tmp_path) for canary in CANARIES)
        await graph.erase("canary-bob")
        assert all(value not in bytes_of(tmp_path) for value in sealed)


async def test_nothing_in_a_file_says_which_rows_are_about_one_person_or_one_tie(tmp_path: Path) -> None:
    """But that a person's own rows stand under the person's pseudonym."""
    path = tmp_path / "graph.sqlite"
    async with open_sqlite_graph(path, KEYS) as graph:
        await graph.add(ties("ada follow bob", "cy follow bob", "ada friend cy"))
        with closing(sqlite3.connect(path)) as other:
            rows = other.execute("SELECT person, edge FROM ties").fetchall()
    people, edges = {person for person, _ in rows}, {edge for _, edge in rows}
    assert (len(rows), len(people), len(edges)) == (6, 3, 6)
    assert people.isdisjoint(edges)


async def test_a_redis_shows_nobody_in_keys_values_and_log(server: RedisServer, redis_settings: RedisSettings) -> None:
    async with open_redis_graph(redis_settings, KEYS) as graph:
        await graph.add(ties("canary-ada friend canary-bob 5", "canary-ada mute canary-bob"))
        with server.client() as client:
            held = [key + b"".join(client.hgetall(key)) + b"".join(client.hvals(key)) for key in client.scan_iter()]
        assert len(held) == 5
        logged = bytes_of(server.folder)
        assert b"hearth:graph:{ties}" in logged
        assert all(canary not in logged + b"".join(held) for canary in CANARIES)
        await graph.erase("canary-ada")
        with server.client() as client:
            assert sorted(client.scan_iter()) == [NOTE, b"hearth:graph:{ties}"]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_after_a_rotation_the_old_key_can_go(kind: str, tmp_path: Path, redis_settings: RedisSettings) -> None:
    old, new = new_key(), new_key()

    def graph_with(*keys: bytes) -> AbstractAsyncContextManager[SocialGraph]:
        if kind == "sqlite":
            return open_sqlite_graph(tmp_path / "graph.sqlite", KeyRing(keys))
        return open_redis_graph(redis_settings, KeyRing(keys))

    async with graph_with(old) as graph:
        await graph.add([Tie("follow", "ada", f"p{n}", n) for n in range(600)])
    async with graph_with(new, old) as graph:
        assert await graph.rotate() == 1201
        assert await graph.rotate() == 0
    async with graph_with(new) as graph:
        assert await graph.follows("ada", most=1) == ("p599",)
    with pytest.raises(UnknownKey):
        async with graph_with(old):
            pass


async def test_a_place_that_holds_people_and_has_lost_its_secret_is_refused(
    tmp_path: Path, server: RedisServer, redis_settings: RedisSettings
) -> None:
    path = tmp_path / "graph.sqlite"
    async with open_sqlite_graph(path, KEYS) as graph:
        await graph.add(ties("ada follow bob"))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM header")
    with pytest.raises(CorruptStore, match=r"graph\.sqlite: it holds people, and the secret that would find them"):
        async with open_sqlite_graph(path, KEYS):
            pass
    async with open_redis_graph(redis_settings, KEYS) as graph:
        await graph.add(ties("ada follow bob"))
    with server.client() as client:
        client.delete("hearth:graph:{ties}")
        with pytest.raises(CorruptStore, match=r"no header hearth:graph:\{ties\}.*noeviction"):
            async with open_redis_graph(redis_settings, KEYS):
                pass
        assert not client.exists("hearth:graph:{ties}")


async def test_edges_of_a_file_are_added_once(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv.gz"
    path.write_bytes(gzip.compress(b"user_id,friend_id\n1,2\n2,1\n1,3\n"))
    graph = InMemorySocialGraph()
    assert await import_ties(path, "friend", graph) == (3, 2)
    assert await import_ties(path, "friend", graph) == (3, 0)
    assert await graph.friends("1") == ("2", "3")
    path.write_bytes(b"user_id,followed,timestamp\n1,2,2026-03-01T08:00:00Z\n1,3,\n")
    assert await import_ties(path, "follow", graph, other="followed") == (2, 2)
    assert (await graph.export("1"))["follows"] == [
        {"user_id": "2", "since": 1772352000.0},
        {"user_id": "3", "since": 0.0},
    ]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ("1,2,\n3,3,\n", 3, "to oneself"),
        ("1,2,\n1,,\n", 3, "other of a tie has 1 to 256 characters"),
        ("1,2,1772352000000\n", 2, "timestamp: this looks like milliseconds"),
        ("1,2\n", 2, "has 2 fields"),
    ],
)
async def test_one_bad_edge_adds_none(tmp_path: Path, lines: str, line: int, reason: str) -> None:
    path, graph = tmp_path / "edges.csv", InMemorySocialGraph()
    path.write_text(f"user_id,friend_id,timestamp\n{lines}")
    with pytest.raises(MalformedLine, match=reason) as caught:
        await import_ties(path, "friend", graph)
    assert caught.value.line == line
    assert await graph.friends("1") == ()


@pytest.mark.slow
async def test_the_friendships_of_the_shared_data_are_added(tmp_path: Path) -> None:
    if "HEARTH_DATA" not in os.environ:
        pytest.skip("HEARTH_DATA does not name the folder of the real data sets")
    edges = Path(os.environ["HEARTH_DATA"], "lastfm_2k", "edges.csv.gz")
    async with open_sqlite_graph(tmp_path / "graph.sqlite", KEYS) as graph:
        assert await import_ties(edges, "friend", graph) == (25_434, 12_717)
        assert len(await graph.friends("2")) == 13
