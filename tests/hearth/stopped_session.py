"""A program that the tests run: one training session, photographed at every state that its files are ever in.

A process killed by SIGKILL leaves its files as they are at that moment, and nothing else of itself: a copy of the
registry's folder, made right before each thing that the session does to a file, is what a kill there would leave.
Each copy is then copied once more, and the session is run again there.

    python -m tests.hearth.stopped_session WORLD KEY FOLDER

FOLDER gets `registry`, `stopped-<n>` for each copy, and `resumed-<n>` for what the second session makes of it. Prints
one JSON object: the summary of the session with the rounds it has on record, and likewise of the second session of
each copy.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from hearth.sources import read_source
from hearth.training_session import train_to_checkpoint
from training.run import TrainingRun, prepare
from training.settings import TrainingSettings

SETTINGS = TrainingSettings(dim=4, cohort=10, rounds=30, patience=2)
# What Python tells an audit hook of before it does it to a file, by name.
STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


def main(world: Path, key: SigningKey, folder: Path) -> None:
    source = read_source(world)
    run = prepare(source.split, SETTINGS, source.features())
    registry = folder / "registry"
    registry.mkdir()
    stop = _photograph(registry, folder)
    whole = session(run, registry, key)
    copies = stop()
    again = []
    for number in range(copies):
        resumed = shutil.copytree(folder / f"stopped-{number}", folder / f"resumed-{number}")
        again.append(session(run, resumed, key))
    print(json.dumps({"whole": whole, "again": again}))  # noqa: T201 - the answer


def session(run: TrainingRun, folder: Path, key: SigningKey) -> object:
    registry = Registry(folder, TrustedKeys([key.public]))
    outcome = train_to_checkpoint(
        run, registry, key, catalogues=one_catalogue("e-commerce", run.tower.items), show=lambda _: None
    )
    return {**outcome.summary(), "on_record": [record.round_number for record in outcome.log]}


def _photograph(registry: Path, folder: Path) -> Callable[[], int]:
    """Copy the registry whenever its files have changed and are about to change again; call the result to end it."""
    copies: list[object] = []
    watching = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal watching
        if not watching or event not in STEPS or not str(arguments[0]).startswith(str(registry)):
            return
        watching = False  # what follows opens files too
        state = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in registry.rglob("*"))
        if state not in copies:
            shutil.copytree(registry, folder / f"stopped-{len(copies)}")
            copies.append(state)
        watching = True

    def stop() -> int:
        nonlocal watching
        watching = False
        return len(copies)

    sys.addaudithook(hear)
    return stop


if __name__ == "__main__":
    main(Path(sys.argv[1]), SigningKey.load(Path(sys.argv[2])), Path(sys.argv[3]))
