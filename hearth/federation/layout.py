"""Where the files of a federation are. A folder holds all of it; what is a cell's own lies in that cell's folder.

federation.json              what it consists of; made once
status.json                  what runs now
lock                         held by the supervisor
certificates/                the authority's certificate and key, and the SuperLink's
superexec.secret             what a superexec shows the SuperLink
superlink.sqlite             the SuperLink's state
centre/                      requests and outcomes of runs, how sums are added, the public node keys
registry/                    checkpoints, and the state of an unfinished training
flower/                      what Flower keeps at the centre
signing-key.pem, .pub        who publishes
cells/NAME/                  the node's key, the public ones of all cells, the store and its keys, the trainer's
                             settings, folder and socket
logs/                        a file for each process
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import create
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from training.federation.cell import LEAST_PEOPLE
from training.federation.centre_sums import NODE_KEYS
from training.federation.trainer_socket import LONGEST_PATH
from training.secure_aggregation.terms import LEAST_CLIENTS


class Plan(BaseModel):
    """What a federation consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: tuple[str, ...] = Field(min_length=1, max_length=64)
    least_people: int = Field(default=LEAST_PEOPLE, ge=2)
    plain_sums: bool = False
    announced_draws: bool = False

    def require_possible(self) -> None:
        """Raise `BadInput` for masks with too few cells."""
        if not self.plain_sums and len(self.cells) < LEAST_CLIENTS:
            raise BadInput(
                f"masks hide what a cell adds from {LEAST_CLIENTS} cells on; asked for are {len(self.cells)}. Take "
                f"--cells {LEAST_CLIENTS}, or --plain-sums, with which the centre sees the sums of each cell"
            )


@dataclass(frozen=True, slots=True)
class CellFolder:
    """One cell's files."""

    name: str
    folder: Path

    @property
    def private_key(self) -> Path:
        """The SuperNode's key, by which the SuperLink knows it."""
        return self.folder / "node-key"

    @property
    def public_key(self) -> Path:
        """Its public half."""
        return self.folder / "node-key.pub"

    @property
    def pinned(self) -> Path:
        """The public keys of all cells, as this one knows them."""
        return self.folder / "pinned"

    @property
    def secret(self) -> Path:
        """What the superexec shows the SuperNode."""
        return self.folder / "superexec.secret"

    @property
    def certificate(self) -> Path:
        """Of the SuperNode's own port, which only this machine reaches."""
        return self.folder / "node.pem"

    @property
    def certificate_key(self) -> Path:
        """The key of that certificate."""
        return self.folder / "node.key"

    @property
    def store(self) -> Path:
        """The people's events and embeddings."""
        return self.folder / "people.sqlite"

    @property
    def store_keys(self) -> Path:
        """What seals them."""
        return self.folder / "people.keys"

    @property
    def trainer_settings(self) -> Path:
        """What the trainer is started with."""
        return self.folder / "trainer.json"

    @property
    def trainer_folder(self) -> Path:
        """What the trainer keeps."""
        return self.folder / "trainer"

    @property
    def socket(self) -> Path:
        """Where the trainer listens."""
        return self.folder / "sock"

    @property
    def flower(self) -> Path:
        """What Flower keeps in the cell."""
        return self.folder / "flower"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of the federation in that folder, an absolute path."""

    folder: Path

    @property
    def plan_file(self) -> Path:
        """What it consists of."""
        return self.folder / "federation.json"

    @property
    def status(self) -> Path:
        """What runs now."""
        return self.folder / "status.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor."""
        return self.folder / "lock"

    @property
    def authority(self) -> Path:
        """The certificate that all others are signed with."""
        return self.folder / "certificates" / "authority.pem"

    @property
    def authority_key(self) -> Path:
        """The key of that certificate."""
        return self.folder / "certificates" / "authority.key"

    @property
    def certificate(self) -> Path:
        """The SuperLink's."""
        return self.folder / "certificates" / "superlink.pem"

    @property
    def certificate_key(self) -> Path:
        """The key of that certificate."""
        return self.folder / "certificates" / "superlink.key"

    @property
    def secret(self) -> Path:
        """What the superexec shows the SuperLink."""
        return self.folder / "superexec.secret"

    @property
    def database(self) -> Path:
        """The SuperLink's state."""
        return self.folder / "superlink.sqlite"

    @property
    def centre(self) -> Path:
        """Requests and outcomes."""
        return self.folder / "centre"

    @property
    def node_keys(self) -> Path:
        """The public keys of all cells, as the centre knows them."""
        return self.centre / NODE_KEYS

    @property
    def registry(self) -> Path:
        """Checkpoints."""
        return self.folder / "registry"

    @property
    def flower(self) -> Path:
        """What Flower keeps at the centre."""
        return self.folder / "flower"

    @property
    def signing_key(self) -> Path:
        """Who publishes."""
        return self.folder / "signing-key.pem"

    @property
    def logs(self) -> Path:
        """A file for each process."""
        return self.folder / "logs"

    def cell(self, name: str) -> CellFolder:
        """The files of that cell."""
        return CellFolder(name, self.folder / "cells" / name)

    def require_short(self, plan: Plan) -> None:
        """Raise `BadInput` where the folder's path leaves no room for those of the cells' sockets."""
        longest = max((self.cell(name).socket for name in plan.cells), key=lambda path: len(os.fsencode(path)))
        if (size := len(os.fsencode(longest))) > LONGEST_PATH:
            raise BadInput(
                f"a trainer listens on a socket whose path has {LONGEST_PATH} bytes at most; {longest} has {size}. "
                f"Name a folder nearer to the root"
            )

    def plan(self) -> Plan:
        """What the federation consists of; raises `BadInput` where there is none in this folder."""
        try:
            return Plan.model_validate_json(self.plan_file.read_bytes())
        except FileNotFoundError:
            raise BadInput(
                f"there is no federation in {self.folder}; `hearth federation up --folder {self.folder}` makes one"
            ) from None
        except ValidationError as error:
            raise BadInput(f"{self.plan_file}: {faults_of(error)}") from None

    def planned(self, plan: Plan) -> Plan:
        """That plan, written down where there was none; raises `BadInput` where there is another."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.plan_file.exists():
            create(self.plan_file, plan.model_dump_json(indent=2).encode())
        held = self.plan()
        if held != plan:
            raise BadInput(
                f"{self.folder} holds a federation of {len(held.cells)} cells with sums over at least "
                f"{held.least_people} people, {_how(held)}; asked for are {len(plan.cells)} and {plan.least_people}, "
                f"{_how(plan)}. Name another folder"
            )
        return held


def _how(plan: Plan) -> str:
    return "in the clear" if plan.plain_sums else "under masks"
