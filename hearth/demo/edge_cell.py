"""The demo's edge cell: a store with what people did, a server in a process of its own, and questions over HTTP."""

import asyncio
import contextlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from feature_store.catalogue import Catalogue
from feature_store.encryption import KeyRing
from feature_store.errors import HearthError
from feature_store.events import Event
from feature_store.sqlite import open_sqlite
from hearth.client import Client, Problem, Unreachable
from training.histories import Histories
from training.interactions import Interactions
from training.split import Split

_STARTING_SECONDS = 180.0  # the first start on a machine compiles a server's loops
_ASKING_SECONDS = 10.0


class ServerFailed(HearthError):
    """The server of the demo did not come up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's top 10 beside what the person liked.

    liked: titles of the films that the person rated highest, of those that training saw.
    recommended: title and whether the person went on to rate it, as the test part knows.
    tier: the privacy tier that the reply names.
    """

    user_id: str
    liked: tuple[str, ...]
    recommended: tuple[tuple[str, bool], ...]
    tier: str


async def move_in(interactions: Interactions, split: Split, store: Path, keys: KeyRing) -> int:
    """Put what everybody did, as far as training saw it, into the edge cell's store; how many events that is."""
    people = interactions.user_ids
    trained = {(people[u], i) for u, rows in enumerate(split.train) for i in rows.tolist()}
    events = [
        Event(
            event_id=f"ml-100k-{line}",
            user_id=people[user],
            item_id=interactions.vocabulary.item_ids[item],
            event=interactions.event_names[event],
            timestamp=float(when),
            value=float(value),
        )
        for line, (user, item, event, when, value) in enumerate(
            zip(
                interactions.users.tolist(),
                interactions.items.tolist(),
                interactions.events.tolist(),
                interactions.timestamps.tolist(),
                interactions.values.tolist(),
                strict=True,
            )
        )
        if (people[user], item) in trained
    ]
    async with open_sqlite(store, keys) as stores:
        return sum(await stores.events.put(events))


class Server(NamedTuple):
    """A server that is ready, and its process."""

    address: str
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def serving(registry: Path, store: Path, store_keys: Path, public_key: Path, port: int, log: Path) -> Iterator[Server]:
    """A server process for the length of the block, which begins once it is ready. Its log goes to a file."""
    command = [sys.executable, "-m", "hearth", "serve", "--port", str(port), "--registry", str(registry)]
    command += ["--store", str(store), "--store-key", str(store_keys), "--trust", str(public_key)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file) as process:  # noqa: S603 - our own command
        try:
            with _orderly_end():
                yield Server(_address_when_ready(process, log), process)
        finally:
            process.send_signal(signal.SIGTERM)


def ask(
    address: str, user_ids: Sequence[str], interactions: Interactions, split: Split, films: Catalogue
) -> list[Answer]:
    """Ask the server for the top 10 of these people, over HTTP; raises as `hearth.client.Client.recommend` does."""
    rows = {user_id: row for row, user_id in enumerate(split.user_ids)}
    with _client(address) as hearth:
        return [_ask_one(hearth, user_id, rows[user_id], interactions, split, films) for user_id in user_ids]


def some_people(split: Split, how_many: int) -> list[str]:
    """People with test items, and with a good deal of history where there are such, spread over the population."""
    eligible = np.flatnonzero((split.train.lengths >= 40) & (split.test.lengths >= 10))
    if not eligible.size:
        eligible = np.flatnonzero(split.test.lengths)
    return [split.user_ids[client] for client in eligible[:: max(1, len(eligible) // how_many)][:how_many]]


def serve_on(server: Server) -> NoReturn:
    """Wait, until Ctrl-C breaks in; raise `ServerFailed` if the server ends before."""
    status = server.process.wait()
    raise ServerFailed(f"the server at {server.address} has ended by itself, with status {status}")


def store_history(interactions: Interactions, split: Split, store: Path, keys: KeyRing) -> int:
    """`move_in` for callers without an event loop."""
    return asyncio.run(move_in(interactions, split, store, keys))


def _ask_one(
    hearth: Client, user_id: str, row: int, interactions: Interactions, split: Split, films: Catalogue
) -> Answer:
    reply = hearth.recommend("home", user_id=user_id, k=10)
    later = {split.vocabulary.item_ids[item] for part in (split.valid, split.test) for item in part[row].tolist()}
    recommended = tuple((films[item.item_id].title, item.item_id in later) for item in reply.items)
    return Answer(user_id, _liked(row, interactions, split.train, films), recommended, reply.privacy_tier)


def _liked(row: int, interactions: Interactions, train: Histories, films: Catalogue) -> tuple[str, ...]:
    """The five best rated films of the train part, the latest first among equals."""
    trained = set(train[row].tolist())
    rated = [
        (float(interactions.values[line]), float(interactions.timestamps[line]), int(interactions.items[line]))
        for line in np.flatnonzero(interactions.users == row).tolist()
        if int(interactions.items[line]) in trained
    ]
    best = sorted(rated, reverse=True)[:5]
    return tuple(films[interactions.vocabulary.item_ids[item]].title for _, _, item in best)


def _address_when_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address, which `hearth serve` prints when it listens, once the server says that it is ready."""
    deadline = time.monotonic() + _STARTING_SECONDS
    if process.stdout and select.select([process.stdout], [], [], _STARTING_SECONDS)[0]:
        address = process.stdout.readline().decode().strip()
        with contextlib.suppress(Unreachable):  # it has ended: its log says why
            while address and time.monotonic() < deadline:
                if _is_ready(address):
                    return address
                time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise ServerFailed(f"the server was not ready within {_STARTING_SECONDS:.0f} s; the end of {log}:\n{tail}")


def _is_ready(address: str) -> bool:
    with _client(address) as hearth:
        try:
            hearth.ready()
        except Problem:  # no checkpoint is loaded yet
            return False
        return True


def _client(address: str) -> Client:
    """A client of our own server, which no proxy of the environment can reach."""
    return Client(address, timeout=_ASKING_SECONDS, trust_env=False)


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """Told to stop by SIGTERM, leave the block as by Ctrl-C, so that the server is not left behind."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
