"""A message of ours as the content of a message of Flower: one array of bytes."""

from flwr.app import Array, ArrayRecord, RecordDict

RECORD = "hearth"


def record_of(content: bytes) -> RecordDict:
    """Bytes as the content of a Flower message."""
    return RecordDict({RECORD: ArrayRecord({RECORD: Array("uint8", (len(content),), RECORD, content)})})


def content_of(record: RecordDict) -> bytes:
    """The bytes that `record_of` was given; empty where they are not there, which is no message."""
    arrays = record.array_records.get(RECORD)
    return arrays[RECORD].data if arrays is not None and RECORD in arrays else b""
