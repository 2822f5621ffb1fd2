"""A cell's trainer as the process that it is, and the way to it over Flower's messages."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from feature_store.encryption import own_keys
from feature_store.errors import BadInput
from feature_store.redis_store import open_redis
from feature_store.sqlite import open_sqlite
from hearth.federation.layout import Layout, Plan
from hearth.federation.processes import make_files
from tests.feature_store.redis_world import settings_for
from tests.redis_server import running_redis
from tests.training.federation.local_cells import HELD_OUT, LOSS, PARTS, RUN_ID, SPLIT, events_of, local_cells
from training.federation.client_app import app
from training.federation.errors import BadMessage, TrainerUnavailable
from training.federation.grid_exchange import GridExchange
from training.federation.tasks import PopulationTask, RoundTask, SumsHeader, TaskMessage
from training.federation.trainer import TrainerSettings, listening_socket, read_settings
from training.federation.trainer_socket import ask_trainer, is_ready
from training.federation.wire import item_ids_to_array, reply_from_bytes, task_to_bytes

PATIENCE = 60.0
BEGIN = task_to_bytes(
    TaskMessage(PopulationTask(run_id=RUN_ID, held_out=HELD_OUT), {"item_ids": item_ids_to_array(SPLIT.vocabulary)})
)
ROUND = task_to_bytes(
    TaskMessage(
        RoundTask(run_id=RUN_ID, round_number=1, cohort=60, population=60, seed=7, loss=LOSS),
        {"item_vectors": np.random.default_rng(5).standard_normal((40, 8)).astype(np.float32)},
    )
)


@pytest.fixture
def settings() -> Iterator[TrainerSettings]:
    """Of a cell with the first part of the checkerboard's people, in a folder whose path is short."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        folder = Path(name)
        made = TrainerSettings(
            folder=folder / "trainer",
            socket=folder / "sock",
            store=folder / "people.sqlite",
            store_keys=folder / "people.keys",
            least_people=5,
            secure=False,
        )

        async def fill() -> None:
            async with open_sqlite(folder / "people.sqlite", own_keys(folder / "people.keys")) as stores:
                await stores.events.put(events_of(PARTS["cell-a"]))

        asyncio.run(fill())
        yield made


@contextmanager
def trainer(settings: TrainerSettings) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, once it answers."""
    file = settings.socket.with_name("trainer.json")
    file.write_text(settings.model_dump_json())
    command = [sys.executable, "-m", "training.federation.trainer", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + PATIENCE
            while not is_ready(settings.socket) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def numbers(reply: bytes) -> Mapping[str, float]:
    header = reply_from_bytes(reply).header
    assert isinstance(header, SumsHeader), header
    return header.numbers


def test_a_trainer_answers_as_the_cell_does_and_is_for_its_owner_alone(
    settings: TrainerSettings, tmp_path: Path
) -> None:
    here = local_cells(tmp_path)["cell-a"]
    expected = [asyncio.run(here.answer(task)) for task in (BEGIN, ROUND)]
    with trainer(settings):
        assert stat.S_IMODE(settings.socket.stat().st_mode) == 0o600
        assert [ask_trainer(settings.socket, task, PATIENCE) for task in (BEGIN, ROUND)] == expected
        with trainer(settings) as second:
            assert second.wait(PATIENCE) == 1
            assert b"another trainer runs over" in (second.stderr.read() if second.stderr else b"")
        assert numbers(ask_trainer(settings.socket, ROUND, PATIENCE))["clients"] == 31


def test_a_trainer_that_was_killed_is_unavailable_and_goes_on_with_the_run_when_it_is_back(
    settings: TrainerSettings,
) -> None:
    with trainer(settings) as process:
        ask_trainer(settings.socket, BEGIN, PATIENCE)
        before = ask_trainer(settings.socket, ROUND, PATIENCE)
        process.kill()
        process.wait(PATIENCE)
        with pytest.raises(TrainerUnavailable, match="the trainer does not answer: ConnectionRefusedError"):
            ask_trainer(settings.socket, ROUND, PATIENCE)
    with trainer(settings) as process:
        assert ask_trainer(settings.socket, ROUND, PATIENCE) == before
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) in {0, -signal.SIGTERM}


class LocalGrid(Grid):
    """Flower's Grid in this process: each message goes to our ClientApp at once.

    trainers: the socket of each node's trainer. silent: nodes that never reply.
    """

    def __init__(self, trainers: Mapping[str, Path], silent: frozenset[str] = frozenset()) -> None:
        self._names, self._trainers, self._silent = sorted(trainers), trainers, silent
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return range(1, 1 + len(self._names))

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=number, name=name) for number, name in enumerate(self._names, 1)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            name = self._names[message.metadata.dst_node_id - 1]
            message.metadata.__dict__["_message_id"] = f"message-{len(self._replies)}-{name}"
            pushed.append(message.metadata.message_id)
            if name not in self._silent:
                config = {"trainer": str(self._trainers[name])}
                context = Context(1, message.metadata.dst_node_id, config, RecordDict(), {})
                self._replies[message.metadata.message_id] = app(message, context)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(name) for name in list(message_ids) if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise NotImplementedError


def test_messages_of_flower_carry_tasks_to_the_trainer_and_replies_or_errors_back(settings: TrainerSettings) -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # as Flower does for a ServerApp
    nowhere = settings.socket.with_name("nobody")
    with trainer(settings):
        sockets = {"cell-a": settings.socket, "cell-b": nowhere, "cell-c": settings.socket}
        exchange = GridExchange(LocalGrid(sockets, silent=frozenset({"cell-c"})), 0.5)
        assert exchange.cells() == ("cell-a", "cell-b", "cell-c")
        answers = exchange.ask(dict.fromkeys(("cell-a", "cell-b", "cell-c", "cell-d"), BEGIN), "the start")
    assert numbers(answers.replies["cell-a"])["clients"] == 31
    assert answers.failures == {
        "cell-b": "TrainerUnavailable: the trainer does not answer: FileNotFoundError",
        "cell-c": "no answer within 0.5 seconds",
        "cell-d": "it is not there",
    }
    with pytest.raises(BadMessage):
        reply_from_bytes(b"")


def test_settings_that_name_no_place_or_two_and_sockets_with_long_paths_are_refused(tmp_path: Path) -> None:
    neither = TrainerSettings(folder=tmp_path, socket=tmp_path / "sock")
    with pytest.raises(BadInput, match="name one of the two"):
        _ = neither.place
    with pytest.raises(BadInput, match="at most 100 bytes"):
        listening_socket(tmp_path / ("x" * 100))
    file = tmp_path / "trainer.json"
    file.write_text('{"folder": ".", "socket": "s", "least_people": 1}')
    with pytest.raises(BadInput, match="least_people: Input should be greater than or equal to 2"):
        read_settings(file)
    assert os.path.lexists(file)


def test_a_cell_whose_people_are_in_a_redis_answers_the_same(settings: TrainerSettings, tmp_path: Path) -> None:
    assert settings.store_keys is not None
    keys = own_keys(settings.store_keys)
    here = local_cells(tmp_path)["cell-a"]
    expected = [asyncio.run(here.answer(task)) for task in (BEGIN, ROUND)]
    with running_redis(settings.socket.parent) as server:
        place = settings_for(server.url)

        async def fill() -> None:
            async with open_redis(place, keys) as stores:
                await stores.events.put(events_of(PARTS["cell-a"]))

        asyncio.run(fill())
        with trainer(settings.model_copy(update={"store": None, "redis": place})):
            assert [ask_trainer(settings.socket, task, PATIENCE) for task in (BEGIN, ROUND)] == expected


def test_a_trainer_without_keys_of_the_others_gives_no_sums_rather_than_plain_ones(
    settings: TrainerSettings, tmp_path: Path
) -> None:
    secure = settings.model_copy(update={"secure": True, "name": "cell-1"})
    with trainer(secure) as process:
        assert process.wait(PATIENCE) == 1
        said = process.stderr.read() if process.stderr else b""
    assert b"which need name, node_key and pinned" in said
    assert settings.identity is None
    layout = Layout(tmp_path)
    make_files(layout, Plan(cells=("cell-1", "cell-2", "cell-3")), tmp_path / "signing.pub")
    one, other = (layout.cell(name) for name in ("cell-1", "cell-2"))
    made = read_settings(one.trainer_settings)
    identity = made.identity
    assert identity is not None
    assert (identity.name, sorted(identity.pinned)) == ("cell-1", ["cell-1", "cell-2", "cell-3"])
    with pytest.raises(BadInput, match=r"is to have the public half of .*node-key as cell-1.pub"):
        _ = made.model_copy(update={"node_key": other.private_key}).identity
