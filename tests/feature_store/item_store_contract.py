"""What every store of items must do. A test class of each kind inherits it and gives the fixture `items`, empty."""

import asyncio
from collections.abc import Sequence

import pytest

from feature_store.errors import BadInput
from feature_store.item_schemas import StoredItem, item_of
from feature_store.item_store import MOST_AT_ONCE, ItemStore, Mark, items_of

KEPT_REMOVALS = 3  # of the stores under test


def film(item_id: str, title: str = "") -> StoredItem:
    return item_of({"item_id": item_id, "title": title}, vertical="films")


def every_type() -> list[StoredItem]:
    return [
        item_of({"item_id": "x", "labels": {"maker": ("a|b", "ü")}, "numbers": {"weight": 1.5}}, vertical="films"),
        item_of({"item_id": "x", "price": "0.10", "currency": "EUR", "stock": 0}, vertical="e-commerce"),
        item_of({"item_id": "x", "published": "2026-03-01T08:00:00.5+01:00", "topic": "t"}, vertical="news"),
        item_of({"item_id": "x", "author": "ada", "created": 5, "visibility": "private"}, vertical="social"),
        item_of(
            {"item_id": "x", "advertiser": "a", "bid": "0.000001", "currency": "JPY", "targeting": "land=DE|AT"},
            vertical="ads",
        ),
    ]


async def all_of(store: ItemStore, vertical: str = "films", at_a_time: int = 1000) -> list[StoredItem]:
    return [item async for item in items_of(store, vertical, at_a_time)]


async def ids_of(store: ItemStore, item_ids: Sequence[str]) -> list[str | None]:
    return [item and item.item_id for item in await store.get_many("films", item_ids)]


@pytest.mark.anyio
class ItemStoreContract:
    async def test_an_item_of_every_type_comes_back_as_it_was(self, items: ItemStore) -> None:
        for item in every_type():
            assert await items.upsert([item]) == 1
        for item in every_type():
            assert await items.get_many(item.vertical, ["x"]) == [item]
        assert await items.verticals() == ["ads", "e-commerce", "films", "news", "social"]

    async def test_items_are_given_in_the_order_they_are_asked_for(self, items: ItemStore) -> None:
        await items.upsert([film("a"), film("b")])
        assert await ids_of(items, ["b", "nobody's", "a", "b"]) == ["b", None, "a", "b"]
        assert await items.get_many("films", []) == []

    async def test_ids_of_every_kind_are_ids(self, items: ItemStore) -> None:
        ids = ["naïve 🜂", "nul \0 within", " ", "%_*?[", "x" * 256, "'; DROP TABLE items; --", "{a}", "1", "01"]
        await items.upsert([film(item_id) for item_id in ids])
        assert await ids_of(items, ids) == ids
        assert sorted((await items.changes_since("films")).changed) == sorted(ids)

    async def test_what_is_put_again_replaces_and_what_is_the_same_is_no_change(self, items: ItemStore) -> None:
        assert await items.upsert([film("a", "one"), film("b")]) == 2
        before = await items.version("films")
        assert await items.upsert([film("a", "one"), film("b")]) == 0
        assert await items.version("films") == before
        assert await items.upsert([film("a", "two"), film("b")]) == 1
        assert [item.title for item in await all_of(items)] == ["", "two"]
        assert await items.version("films") > before

    async def test_of_one_id_twice_in_one_call_the_last_counts(self, items: ItemStore) -> None:
        assert await items.upsert([film("a", "one"), film("a", "two")]) == 1
        assert [item.title for item in await all_of(items)] == ["two"]

    async def test_nothing_is_put_of_items_of_two_verticals_or_of_too_many(self, items: ItemStore) -> None:
        other = film("a").model_copy(update={"vertical": "books"})
        with pytest.raises(BadInput, match="these are of books, films"):
            await items.upsert([film("b"), other])
        with pytest.raises(BadInput, match="at most 5,000 items"):
            await items.upsert([film(str(n)) for n in range(MOST_AT_ONCE + 1)])
        assert await items.upsert([]) == 0
        assert await items.verticals() == []

    async def test_a_name_that_is_no_verticals_is_refused(self, items: ItemStore) -> None:
        for question in (items.count, items.version):
            with pytest.raises(BadInput, match=r"got 'a\}:b'"):
                await question("a}:b")
        with pytest.raises(BadInput, match="got ''"):
            await items.get_many("", ["a"])
        with pytest.raises(BadInput, match="got 'A'"):
            await items.remove("A", ["a"])
        with pytest.raises(BadInput, match="got 'A'"):
            await items.changes_since("A")

    async def test_what_is_removed_is_gone_and_counted_once(self, items: ItemStore) -> None:
        await items.upsert([film("a"), film("b"), film("c")])
        assert await items.remove("films", ["a", "nobody's", "a", "c"]) == 2
        assert await ids_of(items, ["a", "b", "c"]) == [None, "b", None]
        assert await items.count("films") == 1
        assert await items.remove("films", ["a"]) == 0
        assert await items.remove("films", ["b"]) == 1
        assert await items.verticals() == []

    async def test_counts_are_of_items_that_are_there(self, items: ItemStore) -> None:
        assert (await items.count("films"), await items.version("films")) == (0, 0)
        await items.upsert([film("a"), film("b")])
        await items.upsert([film("b", "again"), film("c")])
        await items.remove("films", ["a"])
        await items.upsert([film("a")])
        assert await items.count("films") == 3
        assert await items.count("books") == 0

    async def test_a_reader_follows_by_asking_what_changed(self, items: ItemStore) -> None:
        await items.upsert([film("a"), film("b"), film("c")])
        first = await items.changes_since("films")
        assert (first.changed, first.removed, first.more, first.anew) == (("a", "b", "c"), (), False, False)
        assert first.mark.version == await items.version("films")
        assert await items.changes_since("films", first.mark) == first._replace(changed=())
        await items.upsert([film("b", "new"), film("d")])
        await items.remove("films", ["a"])
        then = await items.changes_since("films", first.mark)
        assert (then.changed, then.removed, then.more, then.anew) == (("b", "d"), ("a",), False, False)
        await items.upsert([film("a", "back")])
        assert (await items.changes_since("films", then.mark))[1:3] == (("a",), ())

    async def test_who_begins_is_told_of_no_removals(self, items: ItemStore) -> None:
        await items.upsert([film("a"), film("b"), film("c")])
        await items.remove("films", ["a", "b"])
        assert (await items.changes_since("films", most=1))[1:] == (("c",), (), False, False)

    async def test_changes_come_in_pages_that_lose_nothing(self, items: ItemStore) -> None:
        await items.upsert([film(str(n)) for n in range(25)])
        await items.remove("films", ["3", "4"])
        await items.upsert([film("5", "later")])
        mark, more, changed, removed, pages = Mark(1), True, [], [], 0  # the reader knows of "0"
        while more:
            page = await items.changes_since("films", mark, most=4)
            mark, more, pages = page.mark, page.more, pages + 1
            changed += page.changed
            removed += page.removed
        assert changed == [str(n) for n in (1, 2, *range(6, 25), 5)]
        assert removed == ["3", "4"]
        assert pages == 6
        assert mark.version == await items.version("films")
        assert [item.item_id for item in await all_of(items, at_a_time=7)] == ["0", *changed]

    async def test_who_missed_forgotten_removals_begins_anew(self, items: ItemStore) -> None:
        await items.upsert([film(str(n)) for n in range(6)])
        known = await items.version("films")
        await items.remove("films", ["0", "1", "2"])
        told = await items.changes_since("films", Mark(known))
        assert (told.removed, told.anew) == (("0", "1", "2"), False)
        await items.remove("films", ["3"])  # one more than are kept: "0" is forgotten, at version 7
        anew = await items.changes_since("films", Mark(known))
        assert (anew.changed, anew.removed, anew.anew) == (("4", "5"), (), True)
        just = await items.changes_since("films", Mark(known + 1))
        assert (just.removed, just.anew) == (("1", "2", "3"), False)
        await items.upsert([film("1"), film("0")])
        await items.remove("films", ["4", "5"])  # "2", "3", "4", "5": four again, and "2" is forgotten
        last = await items.changes_since("films", Mark(known + 3))
        assert (last.changed, last.removed, last.anew) == (("1", "0"), ("3", "4", "5"), False)
        assert (await items.changes_since("films", Mark(known + 2))).anew

    async def test_a_reader_comes_to_the_end_though_removals_are_forgotten(self, items: ItemStore) -> None:
        """Its first pages end before what was removed last: that is nothing it has missed."""
        await items.upsert([film(str(n)) for n in range(10)])
        await items.remove("films", [str(n) for n in range(2, 10)])
        page = await items.changes_since("films", most=1)
        assert (page.changed, page.more, page.anew) == (("0",), True, False)
        then = await items.changes_since("films", page.mark, most=1)
        assert (then.changed, then.anew) == (("1",), False)
        assert [item.item_id for item in await all_of(items, at_a_time=1)] == ["0", "1"]
        await items.upsert([film(str(n)) for n in range(2, 8)])
        await items.remove("films", [str(n) for n in range(4, 8)])  # now it has: "4" may be on its first page
        assert (await items.changes_since("films", page.mark, most=1)).anew

    async def test_a_version_of_another_store_begins_anew(self, items: ItemStore) -> None:
        await items.upsert([film("a")])
        assert await items.changes_since("films", Mark(99)) == ((1, 0), ("a",), (), False, True)

    async def test_many_at_once_lose_no_change(self, items: ItemStore) -> None:
        await asyncio.gather(*(items.upsert([film(f"{task}-{n}") for n in range(20)]) for task in range(20)))
        assert (await items.count("films"), await items.version("films")) == (400, 400)
        assert len({item.item_id for item in await all_of(items, at_a_time=33)}) == 400
