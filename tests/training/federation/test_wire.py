"""The wire: what is written is read, and what is read is nothing else than what may be written."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save

from feature_store.vocabulary import ItemVocabulary
from tests.training.federation.local_cells import LOSS
from training.federation.errors import BadMessage
from training.federation.tasks import (
    AdoptionTask,
    EvaluationTask,
    PopulationTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    SumsHeader,
    TaskMessage,
)
from training.federation.wire import (
    VERSION,
    item_ids_from_array,
    item_ids_to_array,
    reply_from_bytes,
    reply_to_bytes,
    task_from_bytes,
    task_to_bytes,
)

ROUND = RoundTask(run_id="run-1", round_number=3, cohort=20, population=60, seed=7, loss=LOSS)
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
MESSAGE = task_to_bytes(TaskMessage(ROUND, {"item_vectors": VECTORS}))

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
matrices = arrays_of.arrays(
    np.float32, arrays_of.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5), elements=floats
)
vectors_of_items = matrices.filter(lambda matrix: matrix.size > 0)
tasks = st.one_of(
    st.builds(
        lambda held_out, ids: TaskMessage(
            PopulationTask(run_id="run-1", held_out=held_out), {"item_ids": item_ids_to_array(ItemVocabulary(ids))}
        ),
        st.floats(0, 0.99),
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, unique=True),
    ),
    st.builds(
        lambda number, seed, vectors: TaskMessage(
            ROUND.model_copy(update={"round_number": number, "seed": seed}), {"item_vectors": vectors}
        ),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**63 - 1),
        vectors_of_items,
    ),
    st.builds(
        lambda vectors: TaskMessage(
            EvaluationTask(run_id="run-1", loss=LOSS, most=5, population=60),
            {"item_vectors": vectors, "item_discounts": np.ones(len(vectors), np.float32)},
        ),
        vectors_of_items,
    ),
    st.just(TaskMessage(AdoptionTask(checkpoint_id="r0003-87083279d13c"))),
)
replies = st.one_of(
    st.builds(
        lambda numbers, arrays: ReplyMessage(SumsHeader(of="round", numbers=numbers), arrays),
        st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=32),
        st.dictionaries(names, matrices, max_size=4),
    ),
    st.builds(lambda reason: ReplyMessage(RefusalHeader(error="Refused", reason=reason)), st.text(max_size=1000)),
)


@given(tasks)
def test_a_task_comes_out_as_it_went_in(task: TaskMessage) -> None:
    read = task_from_bytes(task_to_bytes(task))
    assert read.header == task.header
    assert read.arrays.keys() == task.arrays.keys()
    assert all(np.array_equal(read.arrays[name], array) for name, array in task.arrays.items())


@given(replies)
def test_a_reply_comes_out_as_it_went_in(reply: ReplyMessage) -> None:
    read = reply_from_bytes(reply_to_bytes(reply))
    assert read.header == reply.header
    assert read.arrays.keys() == reply.arrays.keys()
    assert all(np.array_equal(read.arrays[name], array) for name, array in reply.arrays.items())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(BadMessage):
        task_from_bytes(content)
    with pytest.raises(BadMessage):
        reply_from_bytes(content)


@given(st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_by_name_or_makes_another_message_of_the_same_form(place: int, change: int) -> None:
    changed = bytearray(MESSAGE)
    changed[place] ^= change
    try:
        read = task_from_bytes(bytes(changed))
    except BadMessage:
        return
    assert isinstance(read.header, RoundTask)
    assert read.arrays["item_vectors"].dtype == np.float32
    assert read.arrays["item_vectors"].ndim == 2
    assert np.isfinite(read.arrays["item_vectors"]).all()


@given(st.integers(0, len(MESSAGE) - 1))
def test_the_beginning_of_a_message_is_none(end: int) -> None:
    with pytest.raises(BadMessage):
        task_from_bytes(MESSAGE[:end])


def written(header: str, what: str = "task", version: str = VERSION, **arrays: np.ndarray) -> bytes:  # type: ignore[type-arg]  # of any type
    return save(arrays, {"hearth": json.dumps({"message": what, "version": version, "header": header})})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            written(ROUND.model_dump_json(), version="2", item_vectors=VECTORS),
            "got 'task' of version '2'",
        ),
        (written(ROUND.model_dump_json(), what="reply", item_vectors=VECTORS), "a task of version 1 is due here"),
        (written(ROUND.model_dump_json(), item_vectors=VECTORS.astype(np.float64)), "are F32 and U8; got"),
        (written(ROUND.model_dump_json(), item_vectors=VECTORS[0]), "has the arrays"),
        (written(ROUND.model_dump_json()), "has the arrays"),
        (written(ROUND.model_dump_json(), item_vectors=VECTORS, history=VECTORS), "has the arrays"),
        (written(ROUND.model_dump_json(), item_vectors=VECTORS * np.nan), "NaN or infinity"),
        (written("{}", item_vectors=VECTORS), "the header of a message is none"),
        (written(json.dumps({**ROUND.model_dump(), "users": []}), item_vectors=VECTORS), "users: Extra inputs"),
        (
            written(json.dumps({**ROUND.model_dump(), "cohort": 0}), item_vectors=VECTORS),
            "cohort: Input should",
        ),
        (
            written(json.dumps({**ROUND.model_dump(), "kind": "erase"}), item_vectors=VECTORS),
            "header of a message is none",
        ),
        (save({"item_vectors": VECTORS}), "are no message: KeyError"),
        (struct.pack("<Q", 1 << 40) + b"{}", "begins with up to 65,536 bytes"),
        (struct.pack("<Q", 60_000) + b"[" * 60_000, "are no message"),
        (b"", "begins with up to 65,536 bytes"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(content: bytes, why: str) -> None:
    with pytest.raises(BadMessage, match=why.replace("(", r"\(")):
        task_from_bytes(content)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_a_task_without_items_or_without_numbers_for_them_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(BadMessage, match="item_vectors has the shape"):
        task_from_bytes(task_to_bytes(TaskMessage(ROUND, {"item_vectors": np.ones(shape, np.float32)})))


@pytest.mark.parametrize("weights", [{"regularization": 5e-324}, {"alpha": 5e-324}, {"row_bound": 5e-324}])
def test_weights_that_no_float_can_divide_by_are_refused(weights: dict[str, float]) -> None:
    header = ROUND.model_copy(update={"loss": LOSS.model_copy(update=weights)})
    with pytest.raises(BadMessage, match=r"Input should be greater than or equal to 0.000000001"):
        task_from_bytes(task_to_bytes(TaskMessage(header, {"item_vectors": VECTORS})))


def test_equal_messages_are_equal_bytes() -> None:
    assert {task_to_bytes(TaskMessage(ROUND, {"item_vectors": VECTORS})) for _ in range(20)} == {MESSAGE}


def test_a_refusal_with_arrays_and_sums_that_are_bytes_are_refused() -> None:
    refusal = RefusalHeader(error="Refused", reason="no").model_dump_json()
    with pytest.raises(BadMessage, match="a refusal has no arrays"):
        reply_from_bytes(written(refusal, "reply", embedding=VECTORS))
    sums = SumsHeader(of="round", numbers={}).model_dump_json()
    with pytest.raises(BadMessage, match="sums are float32"):
        reply_from_bytes(written(sums, "reply", counts=np.zeros(3, np.uint8)))


@pytest.mark.parametrize("text", ["{}", "[]", "[1]", "[[]]", "nonsense", "[" * 100_000])
def test_item_ids_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadMessage, match="item ids are a list"):
        item_ids_from_array(np.frombuffer(text.encode(), np.uint8))
