"""What every store of user embeddings must do. A test class of each kind inherits it and gives the fixture `stores`."""

import json

import numpy as np
import pytest

from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.met import MetItems
from feature_store.stores import LocalStores, UserEmbeddingStore
from tests.feature_store.event_store_contract import an_event


def an_embedding(*numbers: float, checkpoint_id: str = "r0001-aa", watermark: int = 1) -> UserEmbedding:
    return UserEmbedding(np.array(numbers, dtype=np.float32), checkpoint_id, watermark)


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

    async def test_what_a_reply_needs_of_a_person_comes_in_one_step(self, stores: LocalStores) -> None:
        assert await stores.person("ada", "r0001-aa") == (MetItems(), None)
        await stores.embeddings.put("ada", an_embedding(1.0))
        assert await stores.person("ada", "r0001-aa") == (MetItems(), None)  # folded in from nothing that is known
        await stores.events.put([an_event("e1", user_id="ada", item_id="film")])
        met = await stores.events.met("ada")
        assert met.item_ids == ("film",)
        assert await stores.person("ada", "r0001-aa") == (met, an_embedding(1.0))
        assert await stores.person("ada", "r0002-bb") == (met, None)
        assert await stores.person("bob", "r0001-aa") == (MetItems(), None)

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


async def _found(store: UserEmbeddingStore, user_id: str, checkpoint_id: str) -> UserEmbedding:
    embedding = await store.get(user_id, checkpoint_id)
    assert embedding is not None
    return embedding
