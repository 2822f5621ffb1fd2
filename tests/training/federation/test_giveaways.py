"""What looks for giveaways finds them: put through a recording proxy, in each writing that it knows."""

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from feature_store.fold_in import fold_in
from tests.serving.canaries import Canaries
from tests.training.federation.giveaways import Giveaways
from tests.training.federation.local_cells import LOSS, SPLIT, filled_memory
from tests.training.federation.test_secure_adding import BEGIN, ROUND, VECTORS
from tests.training.federation.trainer_proxies import CLEAR, trainer_proxies
from training.federation.cell import TrainingCell
from training.federation.errors import TrainerUnavailable
from training.federation.sums import of_update
from training.federation.tasks import ReplyMessage, SumsHeader
from training.federation.trainer import TrainerApp, listening_socket
from training.federation.trainer_socket import ask_trainer, is_ready
from training.federation.wire import reply_to_bytes, task_to_bytes
from training.streaming import streamed_update

PERSON = fold_in(VECTORS, VECTORS.T @ VECTORS, SPLIT.train[0], LOSS.fold_in)


@contextmanager
def answering(socket: Path, reply: bytes) -> Iterator[None]:
    """A trainer that answers whatever it is asked with those bytes."""

    async def answer(_: bytes) -> bytes:
        return reply

    server = uvicorn.Server(uvicorn.Config(TrainerApp(answer), lifespan="off", ws="none", log_level="warning"))
    with listening_socket(socket) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def through_a_proxy(reply: bytes) -> list[bytes]:
    """What a proxy keeps when a trainer gives that reply to a task."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        front, back = Path(name) / "front", Path(name) / "back"
        with answering(back, reply), trainer_proxies({"cell-a": (front, back)}) as proxies:
            until = time.monotonic() + 20
            while not is_ready(front):
                assert time.monotonic() < until
            assert ask_trainer(front, task_to_bytes(ROUND), 20) == reply
            assert [(one.stage, one.kind) for one in proxies.passed] == [(CLEAR, "round")]
            return proxies.seen()


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<f8"])
def test_an_embedding_that_goes_through_a_proxy_is_found_though_eight_numbers_of_it_stand_there(kind: str) -> None:
    giveaways, somebody = Giveaways(), np.random.default_rng(1).standard_normal(16).astype(np.float32)
    giveaways.add("somebody", somebody)
    giveaways.add("somebody else", somebody[::-1].copy())
    assert giveaways.found_in(through_a_proxy(b"a" * 37 + somebody[5:13].astype(kind).tobytes() + b"z")) == {"somebody"}
    assert giveaways.found_in(through_a_proxy(b"a" * 37 + somebody[5:12].astype(kind).tobytes() + b"z")) == set()


def test_an_embedding_written_as_decimals_is_found() -> None:
    giveaways = Giveaways()
    giveaways.add("somebody", PERSON)
    assert giveaways.found_in([json.dumps({"vector": PERSON.tolist()}).encode()]) == {"somebody"}
    assert giveaways.found_in([json.dumps({"vector": (PERSON + 1).tolist()}).encode()]) == set()


def test_round_numbers_give_nobody_away_though_they_are_written_with_many_digits() -> None:
    giveaways, nearly_one = Giveaways(), np.linspace(0.99999994, 1.0000001, 16, dtype=np.float32)
    giveaways.add("nearly one", nearly_one)
    giveaways.add("a half and more", np.linspace(0.5, 0.507, 16, dtype=np.float32))
    assert giveaways.found_in([b"[1.0000, 1.0000, 0.7500, 1.0000]"]) == set()
    assert giveaways.found_in([b"[0.50046667, 0.50093333]"]) == {"a half and more"}


NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 0.1, 0.2, 0.3, -0.7, 1e-20, 65504.0])


@given(
    st.lists(arrays(np.float32, st.integers(1, 14), elements=NUMBERS), min_size=1, max_size=6),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 20), st.sampled_from([b"", b"\0", b"ab", bytes(9)])), max_size=6
    ),
)
def test_strings_are_found_wherever_they_stand_and_no_others(
    added: list[NDArray[np.float32]], put: list[tuple[int, int, bytes]]
) -> None:
    giveaways = Giveaways()
    for number, array in enumerate(added):
        giveaways.add(f"{number}", array)
    strings = giveaways._names
    contents = [before + added[which % len(added)].tobytes()[cut:] + before for which, cut, before in put]
    joined = bytes(8).join(contents)
    assert giveaways.found_in(contents) == {name for string, name in strings.items() if string in joined}


def test_the_sums_of_one_person_are_found_in_the_reply_of_a_cell_that_gives_them_in_the_clear() -> None:
    history, exponent = [SPLIT.train[0]], LOSS.activity_exponent
    one = of_update(streamed_update(VECTORS, history, LOSS.fold_in, activity_exponent=exponent, bound=LOSS.bound))
    reply = reply_to_bytes(ReplyMessage(SumsHeader(of="round", numbers=one.numbers), one.arrays))
    giveaways = Giveaways()
    for name, array in one.arrays.items():
        giveaways.add(name, array)
    assert one.arrays["activity"].size == 1  # a number alone is not looked for
    assert giveaways.found_in(through_a_proxy(reply)) == set(one.arrays) - {"activity"}


def test_the_sums_of_a_cell_are_found_in_its_reply_in_the_clear_and_nobodys_embedding_is(tmp_path: Path) -> None:
    cell = TrainingCell(filled_memory(range(20)), None, tmp_path, 5)
    asyncio.run(cell.answer(task_to_bytes(BEGIN)))
    sums, persons = Giveaways(), Giveaways()
    for name, array in asyncio.run(cell.sums(ROUND)).arrays.items():
        sums.add(name, array)
    persons.add("somebody", PERSON)
    seen = through_a_proxy(asyncio.run(cell.answer(task_to_bytes(ROUND))))
    assert len(sums.found_in(seen)) > 2
    assert persons.found_in(seen) == set()


def test_a_persons_id_that_goes_through_a_proxy_is_found() -> None:
    canaries = Canaries()
    who = canaries.text("somebody")
    assert canaries.found_in(b"".join(through_a_proxy(f'{{"user": "{who}"}}'.encode()))) == {"somebody"}


def test_a_proxy_that_is_told_to_cuts_the_connection() -> None:
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        front, back = Path(name) / "front", Path(name) / "back"
        with answering(back, b"reply"), trainer_proxies({"cell-a": (front, back)}) as proxies:
            proxies.step_in = lambda moment, passed: moment == "answered"
            with pytest.raises(TrainerUnavailable):
                ask_trainer(front, task_to_bytes(ROUND), 20)
            assert proxies.passed[0].reply.endswith(b"reply")
