"""The people of a cell: their rows, held against the split that training in one place makes of the same events."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.encryption import KeyRing, new_key
from feature_store.events import Event
from feature_store.memory import open_memory
from feature_store.sqlite import open_sqlite
from feature_store.vocabulary import ItemVocabulary
from training.federation.people import People, read_people
from training.interactions import Interactions
from training.split import split_by_time

ITEMS = ItemVocabulary(f"item-{row}" for row in range(8))
people_events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(1, 50)), min_size=1, max_size=60)


def lists(people: People) -> tuple[list[list[int]], list[list[int]]]:
    return [rows.tolist() for rows in people.train], [rows.tolist() for rows in people.held_out]


def in_memory(events: list[Event], held_out: float, items: ItemVocabulary = ITEMS) -> People:
    async def read() -> People:
        stores = open_memory()
        await stores.events.put(events)
        return await read_people(stores.events, items, held_out)

    return asyncio.run(read())


@given(people_events, st.sampled_from([0.0, 0.1, 0.29, 0.5]))
def test_rows_are_those_of_the_split_by_time(happened: list[tuple[int, int, int]], held_out: float) -> None:
    happened.sort(key=lambda event: event[2])
    events = [Event(f"e{n}", f"p{who}", f"item-{item}", "click", when) for n, (who, item, when) in enumerate(happened)]
    users = {who: number for number, who in enumerate(sorted({who for who, _, _ in happened}))}
    interactions = Interactions(
        ITEMS,
        tuple(f"p{who}" for who in users),
        ("click",),
        np.array([users[who] for who, _, _ in happened], np.int32),
        np.array([item for _, item, _ in happened], np.int32),
        np.zeros(len(happened), np.int32),
        np.array([when for _, _, when in happened], np.float64),
        np.full(len(happened), np.nan, np.float32),
    )
    split = split_by_time(interactions, valid=held_out, test=0.0)
    expected = [rows.tolist() for rows in split.train], [rows.tolist() for rows in split.valid]
    assert lists(in_memory(events, held_out)) == expected


def test_a_share_of_a_hundred_is_not_cut_short_by_binary_fractions() -> None:
    items = ItemVocabulary(f"item-{row}" for row in range(100))
    people = in_memory([Event(f"e{n}", "p", f"item-{n}", "click", 10 + n) for n in range(100)], 0.29, items)
    assert people.held_out.lengths.tolist() == [29]  # .29 · 100 is 28.999... in binary


def test_items_that_the_vocabulary_has_not_are_left_out_and_counted() -> None:
    events = [Event(f"e{n}", "p", item, "click", 10 + n) for n, item in enumerate(["item-3", "new", "item-1", "newer"])]
    people = in_memory(events, 0.5)
    assert lists(people) == ([[3]], [[1]])
    assert people.unknown_items == 2


def test_what_was_only_shown_or_hidden_is_neither_trained_on_nor_held_out() -> None:
    events = [
        Event("e1", "p", "item-1", "click", 10),
        Event("e2", "p", "item-2", "impression", 20),
        Event("e3", "p", "item-3", "hide", 30),
    ]
    assert lists(in_memory(events, 0.0)) == ([[1]], [[]])


def test_a_sqlite_store_gives_the_same_and_whoever_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    events = [Event(f"e{n}", f"p{n % 3}", f"item-{n % 7}", "click", 10 + n) for n in range(30)]

    async def read() -> tuple[People, People]:
        file = tmp_path / "people.sqlite"
        async with open_sqlite(file, KeyRing([new_key()])) as stores:
            await stores.events.put(events)
            whole = await read_people(stores.events, ITEMS, 0.2)
            with closing(sqlite3.connect(file)) as other:
                person = (bytes.fromhex(stores.events.pseudonym("p1")),)
                assert other.execute("UPDATE people SET log = zeroblob(99) WHERE pseudonym = ?", person).rowcount == 1
                other.commit()
            return whole, await read_people(stores.events, ITEMS, 0.2)

    whole, damaged = asyncio.run(read())
    expected = lists(in_memory(events, 0.2))
    assert lists(whole) == expected
    assert lists(damaged) == ([expected[0][0], expected[0][2]], [expected[1][0], expected[1][2]])
    assert (whole.unreadable, damaged.unreadable) == (0, 1)
