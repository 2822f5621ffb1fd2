"""What every store of local data must do. A test class of each kind inherits all and gives the fixture `stores`."""

import asyncio
import json

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.events import Event, History
from feature_store.memory import open_memory
from feature_store.met import MetItems
from feature_store.rights import erase_person, export_person, forget_before
from feature_store.stores import LocalStores, UserEmbeddingStore


def an_event(event_id: str = "e1", user_id: str = "ada", item_id: str = "heat", timestamp: float = 100.0) -> Event:
    return Event(event_id, user_id, item_id, "view", timestamp)


def an_embedding(*numbers: float, checkpoint_id: str = "r0001-aa", watermark: int = 1) -> UserEmbedding:
    return UserEmbedding(np.array(numbers, dtype=np.float32), checkpoint_id, watermark)


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


@pytest.mark.anyio
class UserEmbeddingStoreContract:
    """`stores` are empty at the start of each test."""

    async def test_an_embedding_comes_back_bit_for_bit(self, stores: LocalStores) -> None:
        numbers = np.array([1 / 3, -0.0, 1e-45, np.finfo(np.float32).max, -7.5], dtype=np.float32)
        await stores.embeddings.put("ada", UserEmbedding(numbers, "r0001-aa", 2**40))
        found = await _found(stores.embeddings, "ada", "r0001-aa")
        assert (found.checkpoint_id, found.watermark) == ("r0001-aa", 2**40)
        assert found.vector.dtype == np.float32
        assert found.vector.tobytes() == numbers.tobytes()

    async def test_an_embedding_of_another_person_or_checkpoint_is_not_given(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(1.0, checkpoint_id="r0001-aa"))
        assert await stores.embeddings.get("ada", "r0002-bb") is None
        assert await stores.embeddings.get("bob", "r0001-aa") is None

    async def test_a_later_embedding_of_the_same_checkpoint_takes_the_place(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(1.0, 2.0, watermark=1))
        await stores.embeddings.put("ada", an_embedding(3.0, 4.0, watermark=2))
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(3.0, 4.0, watermark=2)
        assert await stores.embeddings.delete("ada") == 1

    async def test_embeddings_of_two_checkpoints_stand_side_by_side(self, stores: LocalStores) -> None:
        old, new = an_embedding(1.0, checkpoint_id="r0001-aa"), an_embedding(2.0, 3.0, checkpoint_id="r0002-bb")
        await stores.embeddings.put("ada", old)
        await stores.embeddings.put("ada", new)
        assert await stores.embeddings.get("ada", "r0001-aa") == old
        assert await stores.embeddings.get("ada", "r0002-bb") == new

    async def test_embeddings_of_the_two_checkpoints_put_last_are_kept(self, stores: LocalStores) -> None:
        """As after a roll-back, where the checkpoint of the lower number is the later one to be put."""
        await stores.embeddings.put("bob", an_embedding(1.0, checkpoint_id="r0001-aa"))
        for number, checkpoint_id in enumerate(("r0001-aa", "r0002-bb", "r0001-aa", "r0003-cc")):
            await stores.embeddings.put("ada", an_embedding(float(number), checkpoint_id=checkpoint_id))
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(2.0, checkpoint_id="r0001-aa")
        assert await stores.embeddings.get("ada", "r0002-bb") is None
        assert await stores.embeddings.get("ada", "r0003-cc") == an_embedding(3.0, checkpoint_id="r0003-cc")
        assert await stores.embeddings.get("bob", "r0001-aa") is not None
        assert await stores.embeddings.delete("ada") == 2

    async def test_a_deleted_user_is_gone_from_every_checkpoint(self, stores: LocalStores) -> None:
        for user_id in ("ada", "bob"):
            for checkpoint_id in ("r0001-aa", "r0002-bb"):
                await stores.embeddings.put(user_id, an_embedding(1.0, checkpoint_id=checkpoint_id))
        assert await stores.embeddings.delete("ada") == 2
        assert await stores.embeddings.get("ada", "r0001-aa") is None
        assert await stores.embeddings.get("ada", "r0002-bb") is None
        assert await stores.embeddings.get("bob", "r0002-bb") is not None
        assert await stores.embeddings.delete("ada") == 0

    async def test_an_export_of_embeddings_holds_all_of_them_as_json(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(0.5, -2.0, checkpoint_id="r0002-bb", watermark=9))
        await stores.embeddings.put("ada", an_embedding(0.1, checkpoint_id="r0001-aa"))
        assert json.loads(json.dumps(await stores.embeddings.export("ada"))) == {
            "user_id": "ada",
            "embeddings": [
                {"checkpoint_id": "r0001-aa", "watermark": 1, "vector": [float(np.float32(0.1))]},
                {"checkpoint_id": "r0002-bb", "watermark": 9, "vector": [0.5, -2.0]},
            ],
        }
        assert await stores.embeddings.export("nobody") == {"user_id": "nobody", "embeddings": []}

    async def test_writing_in_ones_own_array_does_not_change_what_is_kept(self, stores: LocalStores) -> None:
        mine = an_embedding(1.0, 2.0)
        await stores.embeddings.put("ada", mine)
        mine.vector[:] = 9.0
        given = await _found(stores.embeddings, "ada", "r0001-aa")
        if given.vector.flags.writeable:
            given.vector[:] = 9.0
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(1.0, 2.0)

    async def test_embeddings_of_many_people_come_in_the_order_asked_for(self, stores: LocalStores) -> None:
        for number, user_id in enumerate(("ada", "bob", "eve")):
            await stores.embeddings.put(user_id, an_embedding(float(number)))
        await stores.embeddings.put("eve", an_embedding(7.0, checkpoint_id="r0002-bb"))
        asked = ["eve", "nobody", "ada", "eve"]
        two, nought = an_embedding(2.0), an_embedding(0.0)
        assert await stores.embeddings.get_many(asked, "r0001-aa") == [two, None, nought, two]
        assert await stores.embeddings.get_many(["ada"], "r0002-bb") == [None]
        assert await stores.embeddings.get_many([], "r0001-aa") == []

    async def test_embeddings_of_many_people_are_put_at_once_as_each_alone(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(0.5, checkpoint_id="r0000-00"))
        await stores.embeddings.put("ada", an_embedding(0.5))
        many = {"ada": an_embedding(3.0, checkpoint_id="r0002-bb"), "bob": an_embedding(4.0, checkpoint_id="r0002-bb")}
        await stores.embeddings.put_many(many)
        assert await stores.embeddings.get_many(["bob", "ada"], "r0002-bb") == [many["bob"], many["ada"]]
        assert await stores.embeddings.checkpoint_ids() == {"r0001-aa", "r0002-bb"}
        await stores.embeddings.put_many({})
        with pytest.raises(BadInput, match="user_id of an embedding"):
            await stores.embeddings.put_many({"": many["ada"]})

    async def test_the_checkpoints_in_use_are_those_that_an_embedding_belongs_to(self, stores: LocalStores) -> None:
        assert await stores.embeddings.checkpoint_ids() == set()
        for user_id, checkpoints in (("ada", ("r0001-aa", "r0002-bb", "r0003-cc")), ("bob", ("r0002-bb",))):
            for checkpoint_id in checkpoints:
                await stores.embeddings.put(user_id, an_embedding(1.0, checkpoint_id=checkpoint_id))
        assert await stores.embeddings.checkpoint_ids() == {"r0002-bb", "r0003-cc"}
        await stores.embeddings.delete("ada")
        assert await stores.embeddings.checkpoint_ids() == {"r0002-bb"}

    async def test_an_embedding_of_another_length_than_its_checkpoint_is_refused(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(1.0, 2.0))
        with pytest.raises(BadInput, match=r"checkpoint r0001-aa has 3 numbers; those .* before have 2"):
            await stores.embeddings.put("bob", an_embedding(1.0, 2.0, 3.0))
        assert await stores.embeddings.get("bob", "r0001-aa") is None
        await stores.embeddings.put("bob", an_embedding(1.0, 2.0, 3.0, checkpoint_id="r0002-bb"))

    @pytest.mark.parametrize("user_id", ["", "x" * 257, "half \ud83d"], ids=["empty", "too long", "half a pair"])
    async def test_an_embedding_of_whoever_can_have_no_events_is_refused(
        self, stores: LocalStores, user_id: str
    ) -> None:
        with pytest.raises(BadInput, match="user_id of an embedding"):
            await stores.embeddings.put(user_id, an_embedding(1.0))

    async def test_sealing_embeddings_anew_with_the_same_key_changes_nothing(self, stores: LocalStores) -> None:
        await stores.embeddings.put("ada", an_embedding(1.0))
        assert await stores.embeddings.rotate() == 0
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(1.0)

    async def test_deleting_events_keeps_embeddings_and_the_other_way_round(self, stores: LocalStores) -> None:
        """Erasure is the caller's, of both; neither store reaches into the other."""
        await stores.events.put([an_event()])
        await stores.embeddings.put("ada", an_embedding(1.0))
        await stores.events.delete("ada")
        assert await stores.embeddings.get("ada", "r0001-aa") is not None
        await stores.events.put([an_event()])
        await stores.embeddings.delete("ada")
        assert len((await stores.events.get("ada")).events) == 1


@pytest.mark.anyio
class RightsContract:
    """`stores` are empty at the start of each test."""

    async def test_an_export_of_a_person_is_one_document_of_all_places(self, stores: LocalStores) -> None:
        await stores.events.put([an_event(), an_event(user_id="bob")])
        await stores.embeddings.put("ada", an_embedding(0.5))
        events, embeddings = await stores.events.export("ada"), await stores.embeddings.export("ada")
        further = open_memory().embeddings
        await further.put("ada", an_embedding(2.0, checkpoint_id="r0009-ff"))
        assert json.loads(json.dumps(await export_person(stores, "ada", {"elsewhere": further}))) == {
            "format": "hearth-person/1",
            "user_id": "ada",
            "events": {"events": events["events"], "earlier": []},
            "embeddings": {"embeddings": embeddings["embeddings"]},
            "elsewhere": {"embeddings": [{"checkpoint_id": "r0009-ff", "watermark": 1, "vector": [2.0]}]},
        }

    async def test_an_erased_person_is_gone_from_all_places_and_the_receipt_says_so(self, stores: LocalStores) -> None:
        await stores.events.put([an_event("e1"), an_event("e2"), an_event(user_id="bob")])
        await stores.embeddings.put("ada", an_embedding(0.5))
        await stores.embeddings.put("bob", an_embedding(0.5))
        further = open_memory().events
        await further.put([an_event()])
        receipt = await erase_person(stores, "ada", {"elsewhere": further}, clock=lambda: 77.0)
        assert json.loads(json.dumps(receipt.as_json())) == {
            "pseudonym": stores.events.pseudonym("ada"),
            "removed": {"events": 2, "embeddings": 1, "elsewhere": 1},
            "left": {"events": 0, "embeddings": 0, "elsewhere": 0},
            "complete": True,
            "files_rewritten": False,
            "erased_at": 77.0,
        }
        assert await export_person(stores, "ada") == await export_person(stores, "ada") | {
            "events": {"events": [], "earlier": []},
            "embeddings": {"embeddings": []},
        }
        assert (await stores.events.get("bob")).events
        assert await stores.embeddings.get("bob", "r0001-aa") is not None
        again = await erase_person(stores, "ada", {"elsewhere": further}, rewrite_files=True)
        assert (again.removed, again.files_rewritten) == ({"events": 0, "embeddings": 0, "elsewhere": 0}, True)
        assert (await stores.events.get("bob")).events
        assert await stores.embeddings.get("bob", "r0001-aa") is not None

    async def test_embeddings_made_from_what_is_forgotten_go_with_it_and_others_stay(self, stores: LocalStores) -> None:
        await stores.events.put([an_event("e1", timestamp=1.0), an_event("e2", item_id="casino", timestamp=9.0)])
        await stores.events.put([an_event("e1", "bob", timestamp=1.0), an_event("e2", "bob", timestamp=9.0)])
        await stores.events.put([an_event("e1", "eve", timestamp=1.0)])
        await stores.events.put([Event("e1", "joe", "heat", "impression", 1.0)])
        for user_id in ("ada", "bob", "eve", "joe"):
            await stores.embeddings.put(user_id, an_embedding(1.0))
        assert await forget_before(stores, 5.0) == 4
        kept = await stores.embeddings.get_many(["ada", "bob", "eve", "joe"], "r0001-aa")
        assert [embedding is not None for embedding in kept] == [False, True, False, False]
        assert sorted([user_id async for user_id in stores.events.user_ids()]) == ["ada", "bob"]


async def _found(store: UserEmbeddingStore, user_id: str, checkpoint_id: str) -> UserEmbedding:
    embedding = await store.get(user_id, checkpoint_id)
    assert embedding is not None
    return embedding
