"""The trainer: the long-lived process of a cell that computes what tasks ask, over the cell's own stores.

    python -m training.federation.trainer CONFIG

CONFIG is JSON with the fields of `TrainerSettings`. It listens on a Unix socket that only its own user can open, and
speaks HTTP: POST /task takes a task and gives a reply, GET /health says that it is there. One task at a time is
computed. It knows nothing of Flower and loads no TensorFlow.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.cell import CellFiles, open_cell
from feature_store.durable import exclusive
from feature_store.encryption import KeyRing, keys_from_environment, own_keys
from feature_store.errors import BadInput, HearthError
from feature_store.faults import faults_of
from feature_store.redis_settings import RedisSettings, with_password
from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from training.federation.cell import LEAST_PEOPLE, TrainingCell
from training.federation.draws import own_secret
from training.federation.node_key_files import read_node_key, read_pinned
from training.federation.private_cell import CellReleases
from training.federation.secure_cell import Identity, SecureCell
from training.federation.trainer_socket import LONGEST_PATH, MEDIA_TYPE
from training.federation.wire import MOST_BYTES
from training.privacy.ledger import Budget

STORE_KEY = "HEARTH_STORE_KEY"
_LOG = logging.getLogger("training.federation")

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]


class TrainerSettings(BaseModel):
    """Where a cell's trainer finds what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="what the trainer keeps between two starts: nothing of people")
    socket: Path = Field(description="where it listens")
    store: Path | None = Field(default=None, description="the people's SQLite file, made where there is none")
    redis: RedisSettings | None = Field(default=None, description="or their Redis")
    store_keys: Path | None = Field(
        default=None, description="the store's keys, made where there is no file; without one HEARTH_STORE_KEY has them"
    )
    registry: str | None = Field(default=None, description="where promoted checkpoints are read from")
    trusted_keys: tuple[Path, ...] = Field(default=(), description="public keys, one of which has signed them")
    copies: Path | None = Field(default=None, description="where those of an object store are kept")
    least_people: int = Field(default=LEAST_PEOPLE, ge=2, description="people below whom no sum is given")
    privacy: Budget | None = Field(
        default=None,
        description="the ε and δ that all releases about the people may not pass; with it nothing of theirs goes out "
        "without noise",
    )

    draws: Literal["own", "announced"] = Field(
        default="own",
        description="who is in a round: by a secret of the cell, or by the announced seed alone, as in a simulation",
    )
    secure: bool = Field(default=True, description="give sums under masks alone; without, the server sees this cell's")
    name: str | None = Field(default=None, description="of the cell's SuperNode; masks need this and the next two")
    node_key: Path | None = Field(default=None, description="the SuperNode's private key")
    pinned: Path | None = Field(
        default=None, description="folder of the public node keys of all cells, NAME.pub, its own among them"
    )
    colluding: int = Field(default=0, ge=0, description="cells that may help a server that lies")

    @property
    def identity(self) -> Identity | None:
        """Who the cell is among those it adds up with; None where it gives sums in the clear.

        Raises:
            BadInput: masks are due, and something that they need is missing or not what it should be.
        """
        if not self.secure:
            return None
        if self.name is None or self.node_key is None or self.pinned is None:
            raise BadInput(
                "sums go out under masks, which need name, node_key and pinned (docs/federation.md); with "
                '"secure": false they go in the clear, and the server sees this cell\'s sums'
            )
        own, pinned = read_node_key(self.node_key), read_pinned(self.pinned)
        if pinned.get(self.name) != own.public_key():
            raise BadInput(f"{self.pinned} is to have the public half of {self.node_key} as {self.name}.pub")
        return Identity(self.name, own, pinned, self.colluding)

    @property
    def secret_of_draws(self) -> bytes | None:
        """See `draws` of `TrainingCell`; made where there is none yet."""
        return own_secret(self.folder / "draws.key") if self.draws == "own" else None

    @property
    def place(self) -> CellFiles | RedisSettings:
        """Where the people are; raises `BadInput` unless it is one place."""
        if (self.store is None) == (self.redis is None):
            raise BadInput("a cell's people are in a store (a SQLite file) or in a redis: name one of the two")
        return with_password(self.redis) if self.redis else CellFiles(Path(self.store or ""))

    @property
    def keys(self) -> KeyRing:
        """What seals the store."""
        return keys_from_environment(STORE_KEY) if self.store_keys is None else own_keys(self.store_keys)

    def opened_registry(self) -> Registry | None:
        """The registry, read with the trusted keys."""
        if self.registry is None:
            return None
        trusted = TrustedKeys([PublicKey.load(file) for file in self.trusted_keys])
        return Registry(self.registry if "://" in self.registry else Path(self.registry), trusted, self.copies)


class TrainerApp:
    """The trainer's HTTP, as an ASGI application.

    answer: from a task to the reply, both as messages; asked for one at a time.
    """

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._answer, self._alone = answer, asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        match scope["type"], scope.get("method"), scope.get("path"):
            case "http", "GET", "/health":
                await _reply(send, 200, b"")
            case "http", "POST", "/task":
                content = await _body(receive)
                if content is None:
                    await _reply(send, 413, b"")
                    return
                async with self._alone:
                    reply = await self._answer(content)
                await _reply(send, 200, reply)
            case "http", _, _:
                await _reply(send, 404, b"")


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None where it is too long, or the other side has gone."""
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        content += message.get("body", b"")
        if len(content) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(content)


async def _reply(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def listening_socket(path: Path) -> socket.socket:
    """A socket at that path for its owner alone; one that an earlier process left there is replaced."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise BadInput(f"the path of a socket has at most {LONGEST_PATH} bytes; {path} is longer")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # no moment at which others could open it
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening


async def serve(settings: TrainerSettings) -> None:
    """Answer tasks until SIGTERM or Ctrl-C."""
    async with open_cell(settings.place, settings.keys) as cell:
        releases = CellReleases(settings.folder, settings.privacy)
        trained = TrainingCell(
            cell.stores,
            settings.opened_registry(),
            settings.folder,
            settings.least_people,
            releases,
            settings.secret_of_draws,
        )
        identity = settings.identity
        answer = trained.answer if identity is None else SecureCell(trained, identity, settings.folder).answer
        config = uvicorn.Config(TrainerApp(answer), lifespan="off", log_level="warning", access_log=False)
        await uvicorn.Server(config).serve(sockets=[listening_socket(settings.socket)])


def read_settings(file: Path) -> TrainerSettings:
    """The settings in that file; raises `BadInput` for what is none."""
    try:
        return TrainerSettings.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{file}: {faults_of(error)}") from None


def main(arguments: list[str]) -> int:
    """Run the trainer of that configuration; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        (file,) = arguments
    except ValueError:
        _LOG.error("one argument is due: the file of the trainer's settings")
        return 2
    try:
        settings = read_settings(Path(file))
        settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as held:
            try:
                held.enter_context(exclusive(settings.folder / "lock", wait=False))
            except BlockingIOError as error:
                raise BadInput(f"another trainer runs over {settings.folder}") from error
            asyncio.run(serve(settings))
    except (HearthError, OSError) as error:
        _LOG.error("%s: %s", type(error).__name__, error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
