"""A small world and a registry trained on it, once for all tests: a start of TensorFlow takes seconds."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hearth.command import Command, Ended
from tests.hearth.world import small_world

SETTINGS = ("--rounds", "25", "--patience", "0", "--dim", "8", "--cohort", "20")


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished `hearth train --promote --json` with `SETTINGS`, never interrupted. Tests do not write here."""

    command: Command
    world: Path
    registry: Path
    ended: Ended

    @property
    def checkpoint_id(self) -> str:
        return str(self.ended.json()["checkpoint_id"])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    command = Command(folder)
    world, registry = small_world(folder / "world"), folder / "registry"
    ended = command.run_watched(
        "train", "--interactions", world, "--registry", registry, *SETTINGS, "--promote", "--json"
    )
    return Trained(command, world, registry, ended)


@pytest.fixture(scope="session")
def hearth(trained: Trained) -> Iterator[Callable[..., Ended]]:
    """The command of `trained`, faster."""
    with trained.command.server("trains") as run:
        yield run


@pytest.fixture
def registry_copy(trained: Trained, tmp_path: Path) -> Path:
    """The trained registry, to write in."""
    return Path(shutil.copytree(trained.registry, tmp_path / "registry"))
