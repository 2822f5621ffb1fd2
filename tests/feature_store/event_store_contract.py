"""What every store of events must do. A test class of each kind inherits it and gives the fixture `stores`."""

import asyncio
import json

import pytest

from feature_store.errors import BadInput
from feature_store.events import Event, History
from feature_store.met import MetItems
from feature_store.stores import LocalStores


def an_event(event_id: str = "e1", user_id: str = "ada", item_id: str = "heat", timestamp: float = 100.0) -> Event:
    return Event(event_id, user_id, item_id, "view", timestamp)


@pytest.mark.anyio
class EventStoreContract:
    """`stores` are empty at the start of each test."""

    async def test_a_new_event_is_in_the_history(self, stores: LocalStores) -> None:
        event = Event("e1", "ada", "heat", "rating", 981_173_106.25, 4.5, "films")
        assert await stores.events.put([event]) == [True]
        assert (await stores.events.get("ada")).events == (event,)

    async def test_a_person_not_known_has_an_empty_history(self, stores: LocalStores) -> None:
        await stores.events.put([an_event(user_id="ada")])
        assert await stores.events.get("bob") == History()

    async def test_an_event_id_sent_again_changes_nothing(self, stores: LocalStores) -> None:
        await stores.events.put([an_event("e1", item_id="heat")])
        before = await stores.events.get("ada")
        assert await stores.events.put([an_event("e1", item_id="goldeneye", timestamp=7.0)]) == [False]
        assert await stores.events.get("ada") == before

    async def test_of_one_event_id_twice_in_one_call_the_first_is_kept(self, stores: LocalStores) -> None:
        first, second = an_event("e1", item_id="heat"), an_event("e1", item_id="goldeneye")
        assert await stores.events.put([first, second, an_event("e2")]) == [True, False, True]
        assert first in (await stores.events.get("ada")).events
        assert second not in (await stores.events.get("ada")).events

    @pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
    async def test_what_is_no_time_makes_a_store_forget_nothing(self, stores: LocalStores, time: float) -> None:
        await stores.events.put([an_event()])
        with pytest.raises(BadInput, match="finite number of seconds since 1970; got"):
            await stores.events.forget_before(time)
        assert len((await stores.events.get("ada")).events) == 1

    async def test_the_same_event_id_of_two_people_is_two_events(self, stores: LocalStores) -> None:
        assert await stores.events.put([an_event(user_id="ada"), an_event(user_id="bob")]) == [True, True]
        assert len((await stores.events.get("bob")).events) == 1

    async def test_no_events_are_put_as_well_as_many(self, stores: LocalStores) -> None:
        assert await stores.events.put([]) == []
        many = [an_event(f"e{n}", user_id=f"user {n % 7}") for n in range(5000)]
        await stores.events.put(many[::2])
        assert await stores.events.put(many) == [n % 2 == 1 for n in range(5000)]

    async def test_a_history_is_in_the_order_of_time_and_then_of_arrival(self, stores: LocalStores) -> None:
        await stores.events.put([an_event("z", timestamp=5.0), an_event("late", timestamp=9.5)])
        await stores.events.put([an_event("a", timestamp=5.0), an_event("early", timestamp=0.0)])
        await stores.events.put([an_event("m", timestamp=5.0)])
        assert [e.event_id for e in (await stores.events.get("ada")).events] == ["early", "z", "a", "m", "late"]

    async def test_text_of_every_kind_comes_back_as_it_was(self, stores: LocalStores) -> None:
        for text in ("'; DROP TABLE events; --", "naïve 🜂", "nul \0 within", " spaces ", "%_*?[", "x" * 256, "\x7f"):
            event = Event(text, text, text, text, 1.0, None, text)
            await stores.events.put([event])
            assert (await stores.events.get(text)).events == (event,)

    async def test_no_value_is_not_a_value_of_nought(self, stores: LocalStores) -> None:
        await stores.events.put([Event("a", "ada", "heat", "rating", 1.0, 0.0), Event("b", "ada", "heat", "view", 2.0)])
        assert [e.value for e in (await stores.events.get("ada")).events] == [0.0, None]

    async def test_whole_numbers_are_kept_however_large(self, stores: LocalStores) -> None:
        event = Event("e1", "ada", "heat", "view", 10**9, -(2**90))
        await stores.events.put([event])
        assert (await stores.events.get("ada")).events == (event,)

    async def test_the_items_met_are_those_of_the_history_each_once_by_code_point(self, stores: LocalStores) -> None:
        met = ["heat", "b", "\U0001f702", "\uffee", "Z", "heat", "b\0", "b"]
        await stores.events.put([an_event(f"e{n}", item_id=item, timestamp=9.0 - n) for n, item in enumerate(met)])
        await stores.events.put([an_event(user_id="bob", item_id="bob's own")])
        found = await stores.events.met("ada")
        assert found.item_ids == ("Z", "b", "b\0", "heat", "\uffee", "\U0001f702")
        assert found.watermark == (await stores.events.get("ada")).watermark

    async def test_who_is_not_known_or_deleted_has_met_nothing(self, stores: LocalStores) -> None:
        await stores.events.put([an_event(user_id="ada")])
        assert await stores.events.met("bob") == MetItems((), 0)
        await stores.events.delete("ada")
        assert await stores.events.met("ada") == MetItems((), 0)

    async def test_what_many_people_met_comes_in_the_order_asked_for(self, stores: LocalStores) -> None:
        await stores.events.put([an_event(), an_event(user_id="bob", item_id="casino")])
        ada, bob, nobody = await stores.events.met_many(["ada", "bob", "eve"])
        assert (ada, bob) == (await stores.events.met("ada"), await stores.events.met("bob"))
        assert (ada.item_ids, bob.item_ids, nobody.item_ids) == (("heat",), ("casino",), ())
        assert [met.item_ids for met in await stores.events.met_many(["bob", "bob"])] == [("casino",), ("casino",)]
        assert await stores.events.met_many([]) == []

    async def test_trying_to_write_leaves_nothing_behind(self, stores: LocalStores) -> None:
        await stores.events.put([an_event()])
        before = await stores.events.get("ada")
        await stores.events.try_write()
        assert await stores.events.get("ada") == before
        assert [user_id async for user_id in stores.events.user_ids()] == ["ada"]

    async def test_a_watermark_changes_with_the_history_and_only_then(self, stores: LocalStores) -> None:
        marks = [(await stores.events.get("ada")).watermark]
        for n in range(4):
            await stores.events.put([an_event(f"e{n}", timestamp=100.0 - n)])
            marks.append((await stores.events.get("ada")).watermark)
            await stores.events.put([an_event(f"e{n}"), an_event("another's", user_id="bob")])
            assert (await stores.events.get("ada")).watermark == marks[-1]
        assert marks[0] == 0
        assert len(set(marks)) == 5

    async def test_a_watermark_never_comes_back_after_a_deletion(self, stores: LocalStores) -> None:
        """Else an embedding made before the deletion would pass for one of the new history."""
        await stores.events.put([an_event("e1"), an_event("e2")])
        marks = [(await stores.events.get("ada")).watermark]
        await stores.events.delete("ada")
        for event_id in ("e1", "e2"):
            await stores.events.put([an_event(event_id)])
            marks.append((await stores.events.met("ada")).watermark)
        assert len({0, *marks}) == 4

    async def test_what_was_hidden_is_disliked_and_what_was_merely_shown_is_not_met(self, stores: LocalStores) -> None:
        did = [("view", "heat", 1.0), ("hide", "heat", 2.0), ("impression", "casino", 3.0), ("view", "goldeneye", 4.0)]
        await stores.events.put([Event(item, "ada", item, kind, time) for kind, item, time in did[1:]])
        await stores.events.put([Event("late", "ada", "heat", "view", 1.0)])
        found = await stores.events.met("ada")
        assert (found.item_ids, found.disliked) == (("goldeneye",), ("heat",))

    async def test_a_window_counts_what_was_done_in_it_alone(self, stores: LocalStores) -> None:
        await stores.events.put(
            [an_event(item, item_id=item, timestamp=time) for item, time in (("a", 1.0), ("b", 2.0))]
        )
        assert (await stores.events.met("ada", since=1.0)).item_ids == ("a", "b")
        found = await stores.events.met("ada", since=2.0)
        assert found == MetItems(("b",), (await stores.events.met("ada")).watermark)
        assert await stores.events.met("bob", since=0.0) == MetItems()

    async def test_a_long_history_keeps_its_newest_events_and_all_its_items(self, stores: LocalStores) -> None:
        """And no event counts twice: neither one that is held nor one that has gone."""
        long = [an_event(f"e{n}", item_id=f"item {n:04}", timestamp=float(n)) for n in range(520)]
        assert all(await stores.events.put(long))
        assert (await stores.events.get("ada")).events == tuple(long[20:])
        assert (await stores.events.met("ada")).item_ids == tuple(event.item_id for event in long)
        before = await stores.events.export("ada")
        assert not any(await stores.events.put([*long, an_event("another", timestamp=19.0)]))
        assert await stores.events.export("ada") == before
        assert await stores.events.delete("ada") == 520

    async def test_an_event_of_the_future_is_refused_and_nothing_of_the_call_is_kept(self, stores: LocalStores) -> None:
        with pytest.raises(BadInput, match="ahead of this store's clock"):
            await stores.events.put([an_event("e1"), an_event("e2", timestamp=9e10)])
        assert await stores.events.get("ada") == History()

    async def test_what_is_older_is_forgotten_of_everybody_and_who_has_nothing_left_is_gone(
        self, stores: LocalStores
    ) -> None:
        await stores.events.put([an_event("old", timestamp=1.0), an_event("new", item_id="casino", timestamp=5.0)])
        await stores.events.put([an_event(f"e{n}", user_id=f"user {n}", timestamp=2.0) for n in range(450)])
        before = (await stores.events.get("ada")).watermark
        assert await stores.events.forget_before(5.0) == 451
        history = await stores.events.get("ada")
        assert [event.event_id for event in history.events] == ["new"]
        assert history.watermark not in {0, before}
        assert await stores.events.met("ada") == MetItems(("casino",), history.watermark)
        assert [user_id async for user_id in stores.events.user_ids()] == ["ada"]
        assert await stores.events.forget_before(5.0) == 0
        assert await stores.events.put([an_event("old", timestamp=1.0)]) == [False]
        assert await stores.events.get("ada") == history

    async def test_sealing_anew_with_the_same_key_changes_nothing(self, stores: LocalStores) -> None:
        await stores.events.put([an_event()])
        before = await stores.events.get("ada")
        assert await stores.events.rotate() == 0
        assert await stores.events.get("ada") == before

    async def test_a_pseudonym_is_one_of_the_person_alone_and_says_nothing(self, stores: LocalStores) -> None:
        names = {stores.events.pseudonym(user_id) for user_id in ("ada", "bob", "ada")}
        assert len(names) == 2
        assert all(len(bytes.fromhex(name)) == 16 for name in names)

    async def test_deleting_removes_all_events_of_that_person_alone(self, stores: LocalStores) -> None:
        await stores.events.put([an_event("e1"), an_event("e2"), an_event("e1", user_id="ada2")])
        assert await stores.events.delete("ada") == 2
        assert await stores.events.get("ada") == History()
        assert len((await stores.events.get("ada2")).events) == 1
        assert await stores.events.delete("ada") == 0

    async def test_what_was_deleted_may_be_put_again(self, stores: LocalStores) -> None:
        await stores.events.put([an_event()])
        await stores.events.delete("ada")
        assert await stores.events.put([an_event()]) == [True]

    async def test_an_export_of_events_holds_all_of_them_as_json(self, stores: LocalStores) -> None:
        await stores.events.put(
            [Event("e2", "ada", "heat", "rating", 2.5, 4.0, "films"), an_event("e1", timestamp=1.0)]
        )
        await stores.events.put([an_event(user_id="bob")])
        assert json.loads(json.dumps(await stores.events.export("ada"))) == {
            "user_id": "ada",
            "events": [
                {
                    "event_id": "e1",
                    "item_id": "heat",
                    "event": "view",
                    "timestamp": 1.0,
                    "value": None,
                    "vertical": None,
                },
                {
                    "event_id": "e2",
                    "item_id": "heat",
                    "event": "rating",
                    "timestamp": 2.5,
                    "value": 4.0,
                    "vertical": "films",
                },
            ],
            "earlier": [],
        }
        assert await stores.events.export("nobody") == {"user_id": "nobody", "events": [], "earlier": []}

    async def test_user_ids_are_those_with_events_each_once(self, stores: LocalStores) -> None:
        people = [f"user {n}" for n in range(1100)]
        assert [user_id async for user_id in stores.events.user_ids()] == []
        await stores.events.put([an_event(event_id, user_id) for event_id in ("e1", "e2") for user_id in people])
        await stores.events.delete("user 7")
        found = [user_id async for user_id in stores.events.user_ids()]
        assert sorted(found) == sorted(set(people) - {"user 7"})

    async def test_people_may_come_and_go_while_user_ids_are_read(self, stores: LocalStores) -> None:
        await stores.events.put([an_event(user_id=f"user {n:04}") for n in range(1100)])
        found = []
        async for user_id in stores.events.user_ids():
            found.append(user_id)
            if len(found) == 3:
                await stores.events.delete(found[0])
                await stores.events.put([an_event(user_id="one more")])
        assert {f"user {n:04}" for n in range(1100)} <= set(found)
        assert len(found) == len(set(found))

    async def test_of_calls_at_once_each_event_is_new_to_exactly_one(self, stores: LocalStores) -> None:
        calls = [[an_event(f"e{n}") for n in range(start, start + 20)] for start in range(0, 50, 5)]
        replies = await asyncio.gather(*(stores.events.put(call) for call in calls))
        told = [pair for call, reply in zip(calls, replies, strict=True) for pair in zip(call, reply, strict=True)]
        new = [event.event_id for event, is_new in told if is_new]
        assert sorted(new) == sorted({f"e{n}" for n in range(65)})
