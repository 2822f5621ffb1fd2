"""What a person gets who asks what is held of them: the same JSON from every store."""

from collections.abc import Iterable, Mapping

from feature_store.embedding import UserEmbedding
from feature_store.person_record import PersonRecord


def exported_record(record: PersonRecord) -> Mapping[str, object]:
    """All that was done by the person, oldest first, ready for `json.dumps`.

    events: those that are kept one by one.
    earlier: what older ones came to, by item.
    """
    return {
        "user_id": record.user_id,
        "events": [
            {
                "event_id": event.event_id,
                "item_id": event.item_id,
                "event": event.event,
                "timestamp": event.timestamp,
                "value": event.value,
                "vertical": event.vertical,
            }
            for event in record.events
        ],
        "earlier": [
            {"item_id": item_id, "weight": signal.weight, "last_timestamp": signal.last, "hidden": signal.hidden}
            for item_id, signal in sorted(record.signals.items(), key=lambda signal: (signal[1].last, signal[0]))
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
