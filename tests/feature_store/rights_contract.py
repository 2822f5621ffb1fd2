"""What the rights of a person come to in every kind of stores. A test class of each gives the fixture `stores`."""

import json

import pytest

from feature_store.errors import BadInput
from feature_store.events import Event
from feature_store.memory import open_memory
from feature_store.rights import erase_person, export_person, forget_before
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.event_store_contract import an_event


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

    async def test_what_is_no_time_costs_nobody_an_embedding(self, stores: LocalStores) -> None:
        await stores.events.put([an_event()])
        await stores.embeddings.put("ada", an_embedding(1.0))
        with pytest.raises(BadInput, match="got nan"):
            await forget_before(stores, float("nan"))
        assert await stores.embeddings.get("ada", "r0001-aa") is not None

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
