"""The loop on one machine: servers over three cells' stores, events over HTTP, a scheduled retraining, the swap.

Every byte between the cells and what carries it to the centre is kept, and what lies on the SuperLink's disk meanwhile.
"""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hearth.client import Client, Problem
from hearth.federation.filling import home
from tests.hearth.command import Command
from tests.hearth.watched_federation import (
    CELLS,
    Watched,
    catalogue_of,
    interactions_of,
    until,
    watched_federation,
)
from tests.serving.canaries import Canaries
from tests.training.federation.trainer_proxies import Moment, Passed
from tests.training.worlds import checkerboard

SPLIT = checkerboard()
CANARIES = Canaries()
WHO = [f"{CANARIES.text('person')}-{person}" for person in range(60)]
for _person in range(0, 60, 10):  # of these the hash of the whole id would be found, too
    CANARIES.given(f"person {_person}", WHO[_person])
ITEMS = list(SPLIT.vocabulary.item_ids)
FRESH = [f"fresh-{row}" for row in range(10)]
ACTED = range(0, 60, 2)  # those with a taste for even items come to like the fresh ones
TRAINING = {"dim": 16, "alpha": 0.2, "cohort": 45}
SETTINGS = {
    "training": {**TRAINING, "rounds": 2},
    "gate": {"least_people": 20, "tolerance": 0.1, "least_coverage": 0.2},
}
_PAGE = 4096  # bytes of SQLite's
K = 10


class Loop(NamedTuple):
    """What happened.

    first: the id of the checkpoint that is served at first. second: the record of the retraining, as its report has it.
    lists: of everybody, before anybody acted, after they did, and after the swap: item ids, and the model behind them.
    pages: of the SuperLink's database and its log of changes, as they were whenever a message went by.
    asked: outcomes of requests that were made all the while.
    """

    watched: Watched
    first: str
    second: dict[str, Any]
    lists: list[dict[str, tuple[str, list[str]]]]
    pages: list[bytes]
    asked: list[str]
    pids: list[tuple[int, ...]]


@contextmanager
def closed_loop(command: Command) -> Iterator[Loop]:
    """The loop, gone round once; servers and cells are up for the length of the block."""
    histories = {
        WHO[person]: [ITEMS[row] for row in [*SPLIT.train[person], *SPLIT.valid[person]]] for person in range(60)
    }
    with watched_federation(command, interactions_of(histories)) as watched, ExitStack() as ends:
        pages = dict[bytes, None]()

        def keep(_moment: Moment, _passed: Passed) -> bool:
            for end in ("", "-wal"):
                file = watched.layout.database.with_name(f"{watched.layout.database.name}{end}")
                content = file.read_bytes() if file.exists() else b""
                pages.update(dict.fromkeys(content[at : at + _PAGE] for at in range(0, len(content), _PAGE)))
            return False

        watched.proxies.step_in = keep
        first = first_model(watched)
        servers = {name: ends.enter_context(server(watched, name)) for name in CELLS}
        clients = {name: ends.enter_context(client_of(address)) for name, (address, _) in servers.items()}
        lists = [lists_of(clients)]
        send_events(clients)
        lists.append(lists_of(clients))
        asked = ends.enter_context(asking(servers[CELLS[0]][0]))
        pids = [tuple(pid for _, pid in servers.values())]
        with command.started(*retraining(watched), "--schedule", "* * * * *") as process:
            reports = watched.layout.folder / "reports"
            until(lambda: bool(list(reports.glob("*.json"))) or process.poll() is not None)
            assert process.poll() is None, process.stderr.read() if process.stderr else b""
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said.decode()
        second = json.loads(min(reports.glob("*.json")).read_bytes())
        until(lambda: {client.version().model_id for client in clients.values()} == {watched.production()})
        lists.append(lists_of(clients))
        pids.append(tuple(pid for _, pid in servers.values()))
        yield Loop(watched, first, second, lists, list(pages), asked, pids)


def first_model(watched: Watched) -> str:
    """The id of a checkpoint that was trained on what people did long ago, and promoted, in one process."""
    settings = watched.place / "first.json"
    settings.write_text(json.dumps({**TRAINING, "rounds": 8, "patience": 0}))
    train = ("train", "--interactions", watched.place / "interactions.csv", "--test-share", "0", "--config", settings)
    place = ("--registry", watched.layout.registry, "--signing-key", watched.layout.signing_key)
    told: dict[str, Any] = watched.ended(*train, *place, "--promote", "--json").json()
    return str(told["checkpoint_id"])


def retraining(watched: Watched) -> tuple[str | Path, ...]:
    catalogue, settings = watched.place / "items.csv", watched.place / "retrain.json"
    catalogue.write_text(catalogue_of(ITEMS + FRESH))
    settings.write_text(json.dumps(SETTINGS))
    return ("retrain", "--folder", watched.layout.folder, "--config", settings, "--items", catalogue)


@contextmanager
def server(watched: Watched, name: str) -> Iterator[tuple[str, int]]:
    """`hearth serve` over the store of that cell; its address, and the number of its process."""
    cell = watched.layout.cell(name)
    command = ("serve", "--port", "0", "--registry", watched.layout.registry, "--trust", watched.trust)
    place = ("--store", cell.store, "--store-key", cell.store_keys)
    with (
        (watched.place / f"{name}-serve.log").open("wb") as log,
        watched.command.started(*command, *place, stderr=log) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        with client_of(address) as client:
            until(lambda: is_ready(client), 120)
        yield address, process.pid
        assert process.poll() is None, "the server ended by itself"
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def client_of(address: str) -> Client:
    return Client(address, timeout=60.0, trust_env=False)


def is_ready(client: Client) -> bool:
    try:
        client.ready()
    except Problem:  # it has no model yet
        return False
    return True


def cell_of(who: str) -> str:
    return CELLS[home(who, len(CELLS))]


def lists_of(clients: dict[str, Client]) -> dict[str, tuple[str, list[str]]]:
    """Everybody's list, from the server of their cell, and the model behind it."""
    found = {}
    for who in WHO:
        reply = clients[cell_of(who)].recommend("home", user_id=who, k=K)
        found[who] = (str(reply.model_id), [item.item_id for item in reply.items])
    return found


def fresh_of(person: int) -> list[str]:
    """The fresh items that somebody who acts meets: six of the ten."""
    return [FRESH[row] for row in np.random.default_rng([17, person]).permutation(len(FRESH))[:6]]


def send_events(clients: dict[str, Client]) -> None:
    """What people do now, and of everybody who acts one item that nobody else meets and no catalogue has."""
    for name, client in clients.items():
        events = [
            {
                "event_id": f"{CANARIES.word('event')}-{place}",
                "user_id": WHO[person],
                "item_id": item,
                "event": "click",
            }
            for person in ACTED
            if cell_of(WHO[person]) == name
            for place, item in enumerate([*fresh_of(person), f"{CANARIES.text('item of one alone')}-{person}"])
        ]
        assert {outcome.status for outcome in client.send(events).events} == {201}


@contextmanager
def asking(address: str) -> Iterator[list[str]]:
    """Somebody who asks for a list again and again; the models that answered, or what went wrong."""
    outcomes, stop = list[str](), threading.Event()
    (who, *_) = [who for who in WHO if cell_of(who) == CELLS[0]]

    def ask() -> None:
        with client_of(address) as client:
            while not stop.wait(0.2):
                try:
                    outcomes.append(str(client.recommend("home", user_id=who, k=K).model_id))
                except Problem as problem:
                    outcomes.append(f"{problem}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        thread.join()
