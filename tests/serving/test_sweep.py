"""After a swap everybody is folded in for the new model, without having asked."""

import asyncio
from pathlib import Path

from feature_store.embedding import UserEmbedding
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, opened, started

PEOPLE = [f"person-{number}" for number in range(30)]


def test_people_who_do_not_ask_have_an_embedding_for_the_new_model_and_keep_that_for_the_old_one(
    publisher: Publisher, tmp_path: Path
) -> None:
    first, second = (publisher.publish(draft(seed), promote=False) for seed in (1, 2))
    publisher.registry.promote(first)
    config = config_of(publisher, store=tmp_path / "store.sqlite")
    with started(config, tmp_path) as server:
        server.serves(first)
        server.post(
            *(
                {"event_id": "e", "user_id": user, "item_id": f"item-{n % 8}", "event": "view"}
                for n, user in enumerate(PEOPLE)
            )
        ).raise_for_status()
        publisher.registry.promote(second)
        server.serves(second)
        sweeps = server.logged("people folded in", count=2)  # the first, when it started, found nobody
    assert sweeps[-1]["model_id"] == second
    assert (sweeps[-1]["people"], sweeps[-1]["folded"], sweeps[-1]["failed"]) == (30, 30, 0)

    async def held(checkpoint_id: str) -> list[UserEmbedding | None]:
        async with opened(tmp_path / "store.sqlite") as stores:
            return await stores.embeddings.get_many(PEOPLE, checkpoint_id)

    checkpoint = publisher.registry.load(second)
    for number, embedding in enumerate(asyncio.run(held(second))):
        rows = checkpoint.vocabulary.known_rows([f"item-{number % 8}"])
        assert embedding is not None
        assert abs(embedding.vector - checkpoint.fold_in(rows).vector).max() < 1e-5
    assert None not in asyncio.run(held(first))
