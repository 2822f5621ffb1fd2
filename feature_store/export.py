"""What a person gets who asks what is held of them: the same JSON from every store."""

from collections.abc import Iterable, Mapping

from feature_store.embedding import UserEmbedding
from feature_store.events import History


def exported_history(user_id: str, history: History) -> Mapping[str, object]:
    """All events of the person, oldest first, ready for `json.dumps`."""
    return {
        "user_id": user_id,
        "events": [
            {
                "event_id": event.event_id,
                "item_id": event.item_id,
                "event": event.event,
                "timestamp": event.timestamp,
                "value": event.value,
            }
            for event in history.events
        ],
    }


def exported_embeddings(user_id: str, embeddings: Iterable[UserEmbedding]) -> Mapping[str, object]:
    """All embeddings of the person by checkpoint id, ready for `json.dumps`; float32 numbers are exact in it."""
    return {
        "user_id": user_id,
        "embeddings": [
            {
                "checkpoint_id": embedding.checkpoint_id,
                "watermark": embedding.watermark,
                "vector": embedding.vector.tolist(),
            }
            for embedding in sorted(embeddings, key=lambda embedding: embedding.checkpoint_id)
        ],
    }
