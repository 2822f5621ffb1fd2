"""The rights of a person where places fail or somebody is in between; what every store does is in the contract."""

import pytest

from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.memory import InMemoryEventStore, InMemoryUserEmbeddingStore, open_memory
from feature_store.rights import erase_person
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.event_store_contract import an_event

pytestmark = pytest.mark.anyio


class ServedMeanwhile(InMemoryEventStore):
    """A store in which the person does something right after having been deleted."""

    async def delete(self, user_id: str) -> int:
        deleted = await super().delete(user_id)
        await self.put([Event("meanwhile", user_id, "heat", "view", 1.0)])
        return deleted


class NotNow(InMemoryUserEmbeddingStore):
    """Embeddings that cannot be deleted the first time."""

    failed = False

    async def delete(self, user_id: str) -> int:
        if not self.failed:
            self.failed = True
            raise StoreUnavailable("not now")
        return await super().delete(user_id)


async def test_what_a_person_does_meanwhile_is_on_the_receipt() -> None:
    stores = LocalStores(ServedMeanwhile(), InMemoryUserEmbeddingStore())
    await stores.events.put([an_event()])
    receipt = await erase_person(stores, "ada")
    assert (receipt.removed, receipt.left) == ({"events": 1, "embeddings": 0}, {"events": 1, "embeddings": 0})
    assert not receipt.is_complete


async def test_an_erasure_that_failed_half_way_goes_on_when_it_is_asked_for_again() -> None:
    stores = LocalStores(InMemoryEventStore(), NotNow())
    await stores.events.put([an_event()])
    await stores.embeddings.put("ada", an_embedding(1.0))
    with pytest.raises(StoreUnavailable):
        await erase_person(stores, "ada")
    receipt = await erase_person(stores, "ada")
    assert receipt.removed == {"events": 0, "embeddings": 1}
    assert receipt.is_complete


async def test_a_receipt_names_nobody() -> None:
    stores = open_memory()
    await stores.events.put([an_event(user_id="a-name-to-be-known-by")])
    receipt = await erase_person(stores, "a-name-to-be-known-by")
    assert "a-name-to-be-known-by" not in str(receipt.as_json())
    assert receipt.erased_at > 1.7e9
