"""What somebody sees who has the SQLite file, and what becomes of it: nothing plain, erasure, a change of keys."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreUnavailable, UnknownKey
from feature_store.events import Event
from feature_store.rights import erase_person, export_person
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores

ROOT = Path(__file__).parents[2]
WRITER = [sys.executable, str(Path(__file__).with_name("store_writer.py"))]
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PEOPLE = [f"person-{n:05}" for n in range(40)]
VECTORS = np.random.default_rng(7).normal(size=(len(PEOPLE), 64)).astype(np.float32)

pytestmark = pytest.mark.anyio


def start_writer(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*WRITER, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)


async def live(stores: LocalStores, rounds: int = 4) -> None:
    """Some life: records grow, pages split, embeddings of three checkpoints come and go."""
    rng = np.random.default_rng(3)
    for turn in range(rounds):
        met = rng.integers(len(PEOPLE), size=150)
        await stores.events.put(
            [Event(f"event-{turn}-{n}", PEOPLE[who], f"item-{n}", "view", 1e9 + n) for n, who in enumerate(met)]
        )
        for who in rng.choice(len(PEOPLE), size=15, replace=False):
            await stores.embeddings.put(PEOPLE[who], UserEmbedding(VECTORS[who], f"r{turn % 3}", 1))


def bytes_of(path: Path) -> bytes:
    """The file, its log and the index of its log."""
    files = [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def values_in(path: Path) -> dict[tuple[str, ...], bytes]:
    """Every sealed value, by where it stands."""
    with closing(sqlite3.connect(path)) as connection:
        people = connection.execute("SELECT hex(pseudonym), id, log, met FROM people").fetchall()
        embeddings = connection.execute("SELECT hex(pseudonym), checkpoint, sealed FROM embeddings").fetchall()
        header = connection.execute("SELECT name, value FROM header").fetchall()
    values = {
        (person, name): part for person, *row in people for name, part in zip(("id", "log", "met"), row, strict=True)
    }
    values |= {(person, checkpoint): sealed for person, checkpoint, sealed in embeddings}
    return values | {(name,): value for name, value in header}


async def test_nothing_of_people_is_ever_plain_in_the_file_or_its_log(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    plain = [b"person-", b"event-", b"item-", b"view", np.float64(1e9).tobytes(), b"1000000"]
    plain += [vector[:4].tobytes() for vector in VECTORS]
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        for _ in range(2):
            await live(stores, rounds=2)
            written = bytes_of(path)
            assert len(written) > 100_000
            assert [text for text in plain if text in written] == []
        await stores.events.delete(PEOPLE[0])
        assert [text for text in plain if text in bytes_of(path)] == []
        assert (await stores.events.get(PEOPLE[1])).events  # what was looked for was there
    assert [text for text in plain if text in path.read_bytes()] == []


async def test_what_the_same_person_has_in_two_files_stands_under_two_pseudonyms(tmp_path: Path) -> None:
    names = []
    for name in ("one", "two"):
        async with open_sqlite(tmp_path / name, KeyRing([OLD])) as stores:
            names.append(stores.events.pseudonym("ada"))
    assert names[0] != names[1]
    async with open_sqlite(tmp_path / "two", KeyRing([OLD])) as stores:
        assert stores.events.pseudonym("ada") == names[1]


async def test_an_erased_person_leaves_no_row_no_pseudonym_and_no_log(tmp_path: Path) -> None:
    """Other people's bytes are moved about by it; none of the erased person's stands in a row or in the log."""
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await live(stores)
        others = await export_person(stores, PEOPLE[30])
        before = values_in(path)
        for person in PEOPLE[:20]:
            receipt = await erase_person(stores, person)
            assert receipt.is_complete
            assert receipt.pseudonym.upper() not in {place[0] for place in values_in(path)}
            theirs = [value for place, value in before.items() if place[0] == receipt.pseudonym.upper()]
            assert len(theirs) >= 3
            log = path.with_name(f"{path.name}-wal").read_bytes()
            assert not any(value[:32] in log for value in theirs)
        assert await export_person(stores, PEOPLE[30]) == others


async def test_a_rewritten_file_holds_nothing_in_the_unused_parts_of_its_pages(tmp_path: Path) -> None:
    """Such parts hold what splitting a page leaves behind; here, what a deletion without `secure_delete` does."""
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await live(stores)
        name = stores.events.pseudonym(PEOPLE[0])
        theirs = [value for place, value in values_in(path).items() if place[0].lower() == name]
        assert len(theirs) >= 3
        with closing(sqlite3.connect(path)) as careless:
            careless.execute("PRAGMA secure_delete = OFF")
            careless.execute("DELETE FROM people WHERE pseudonym = ?", (bytes.fromhex(name),))
            careless.commit()
        others = await export_person(stores, PEOPLE[30])
        removed = await erase_person(stores, PEOPLE[0])
        assert removed.is_complete
        assert not removed.files_rewritten
        assert any(value[-40:] in bytes_of(path) for value in theirs)
        receipt = await erase_person(stores, PEOPLE[0], rewrite_files=True)
        assert receipt.files_rewritten
        assert not any(value[-40:] in bytes_of(path) for value in theirs)
        assert bytes.fromhex(name) not in bytes_of(path)
        assert await export_person(stores, PEOPLE[30]) == others


async def test_what_cannot_be_opened_can_still_be_erased(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await stores.events.put([Event("e1", "ada", "heat", "view", 1.0), Event("e2", "ada", "heat", "view", 2.0)])
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE people SET log = randomblob(90)")
            other.commit()
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite: "):
            await stores.events.put([Event("e3", "ada", "heat", "view", 3.0)])
        assert await stores.events.delete("ada") == 1
        assert [user_id async for user_id in stores.events.user_ids()] == []


@pytest.mark.parametrize("again", ["by opening", "by asking"])
async def test_an_erasure_that_another_process_held_up_is_ended_later(tmp_path: Path, again: str) -> None:
    path = tmp_path / "hearth.sqlite"
    log = path.with_name(f"{path.name}-wal")
    async with open_sqlite(path, KeyRing([OLD]), busy_seconds=0.05) as stores:
        await stores.events.put([Event("e1", "ada", "heat", "view", 1.0)])
        [sealed] = [value for place, value in values_in(path).items() if place[-1] == "log"]
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM people").fetchone()
            with pytest.raises(StoreUnavailable, match="deleted, but another process holds the log"):
                await stores.events.delete("ada")
            assert (await stores.events.get("ada")).events == ()
            assert sealed in log.read_bytes()
            reader.execute("COMMIT")
            if again == "by asking":
                assert await stores.events.delete("ada") == 0
            else:
                async with open_sqlite(path, KeyRing([OLD])):
                    pass
            assert sealed not in bytes_of(path)  # one person's: no page was ever split


async def test_a_killed_erasure_is_ended_at_the_next_opening(tmp_path: Path) -> None:
    """Killed as soon as the row is gone, when its bytes may still stand in the log."""
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await stores.events.put([Event(f"e{n}", "ada", "heat", "view", float(n)) for n in range(300)])
    [sealed] = [value for place, value in values_in(path).items() if place[-1] == "log"]
    with start_writer("erase", path, "ada") as writer, closing(sqlite3.connect(path)) as other:
        while other.execute("SELECT count(*) FROM people").fetchone() == (1,):
            assert writer.poll() is None
        writer.kill()
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        assert (await stores.events.get("ada")).events == ()
        assert sealed not in bytes_of(path)


async def test_after_a_rotation_everything_is_sealed_with_the_new_key_and_the_old_one_can_go(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await live(stores)
        before = [await export_person(stores, person) for person in PEOPLE]
        marks = [(await stores.events.met(person)).watermark for person in PEOPLE]
    old = values_in(path)
    async with open_sqlite(path, KeyRing([NEW, OLD])) as stores:
        assert await stores.events.rotate() + await stores.embeddings.rotate() == len(old)
        assert await stores.events.rotate() + await stores.embeddings.rotate() == 0
    assert values_in(path).keys() == old.keys()
    assert {value[1:9] for value in values_in(path).values()} == {KeyRing([NEW]).newest}
    async with open_sqlite(path, KeyRing([NEW])) as stores:
        assert [await export_person(stores, person) for person in PEOPLE] == before
        assert [(await stores.events.met(person)).watermark for person in PEOPLE] == marks
    with pytest.raises(UnknownKey, match=rf"hearth\.sqlite: .*{KeyRing([NEW]).newest.hex()}; the keys at hand are"):
        async with open_sqlite(path, KeyRing([OLD])):
            pass


async def test_a_rotation_that_is_killed_leaves_everything_readable_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await stores.events.put([Event("e1", f"user {n}", "heat", "view", 1.0) for n in range(1500)])
    renewed = 0
    newest = KeyRing([NEW]).newest
    with start_writer("rotate", path, NEW.hex()) as writer:
        while not 0 < renewed < 1500 and writer.poll() is None:
            with closing(sqlite3.connect(path)) as other:
                [renewed] = other.execute(
                    "SELECT count(*) FROM people WHERE substr(log, 2, 8) = ?", (newest,)
                ).fetchone()
        writer.kill()
    both = KeyRing([NEW, OLD])
    async with open_sqlite(path, both) as stores:
        assert len([user_id async for user_id in stores.events.user_ids()]) == 1500
        at_once = asyncio.create_task(stores.events.put([Event("e2", "user 7", "casino", "view", 2.0)]))
        left = await stores.events.rotate()
        assert 0 < left < 3 * 1500
        assert await at_once == [True]
    async with open_sqlite(path, KeyRing([NEW])) as stores:
        assert (await stores.events.met("user 7")).item_ids == ("casino", "heat")
        assert len([user_id async for user_id in stores.events.user_ids()]) == 1500


async def test_a_file_that_holds_people_and_has_lost_its_header_is_refused(tmp_path: Path) -> None:
    """A new secret would find nobody, and everybody would be there twice."""
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await stores.events.put([Event("e1", "ada", "heat", "view", 1.0)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM header")
        other.commit()
    with pytest.raises(CorruptStore, match=r"hearth\.sqlite: it holds people, and the secret that would find them"):
        async with open_sqlite(path, KeyRing([OLD])):
            pass


async def test_a_value_moved_to_another_person_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KeyRing([OLD])) as stores:
        await stores.events.put([Event("e1", user_id, user_id, "view", 1.0) for user_id in ("ada", "bob")])
        with closing(sqlite3.connect(path)) as other:
            ada, bob = (bytes.fromhex(stores.events.pseudonym(user_id)) for user_id in ("ada", "bob"))
            move = "UPDATE people SET met = (SELECT met FROM people WHERE pseudonym = ?) WHERE pseudonym = ?"
            other.execute(move, (ada, bob))
            other.commit()
        assert (await stores.events.met("ada")).item_ids == ("ada",)
        with pytest.raises(CorruptStore, match="is damaged, or was tampered with"):
            await stores.events.met("bob")
