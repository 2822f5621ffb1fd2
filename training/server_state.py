"""The server state: all that passes between rounds, and so all that a training checkpoint keeps."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from feature_store.arrays import Float32Array
from feature_store.durable import replace
from feature_store.errors import StateMismatch

Run = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, eq=False)
class ServerState:
    """The state after `round_number` rounds.

    parameters: the global parameters, by name; those of the item tower.
    statistics: what the server optimizer remembers, by name; empty before the first round.
    validation: the validation metric after each evaluation so far, oldest first.
    best: the parameters with the best of those metrics; empty where nothing was validated.
    best_round: the round that left them.
    """

    round_number: int
    parameters: Mapping[str, Float32Array]
    statistics: Mapping[str, Float32Array] = field(default_factory=dict)
    validation: tuple[float, ...] = ()
    best: Mapping[str, Float32Array] = field(default_factory=dict)
    best_round: int = 0

    def validated(self, metric: float) -> "ServerState":
        """This state with one more evaluation, of its parameters."""
        is_best = metric > max(self.validation, default=float("-inf"))
        kept = (self.parameters, self.round_number) if is_best else (self.best, self.best_round)
        return ServerState(
            self.round_number,
            self.parameters,
            self.statistics,
            (*self.validation, metric),
            best=kept[0],
            best_round=kept[1],
        )

    def chosen(self) -> "ServerState":
        """What is worth publishing: the parameters that validated best, or the last where nothing was validated."""
        if not self.best:
            return self
        return ServerState(self.best_round, self.best, self.statistics, self.validation, self.best, self.best_round)


def save_state(path: Path, state: ServerState, run: Run) -> None:
    """Put the state in the place of the file, whole or not at all.

    run: what the state depends on besides itself (settings, digest of the data); `load_state` holds to it.
    """
    groups = {"parameters": state.parameters, "statistics": state.statistics, "best": state.best}
    arrays = {f"{group}/{name}": array for group, named in groups.items() for name, array in named.items()}
    metadata = {
        "round_number": str(state.round_number),
        "best_round": str(state.best_round),
        "validation": json.dumps(state.validation),
        "run": json.dumps(run, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, save(arrays, metadata))


def load_state(path: Path, run: Run) -> ServerState | None:
    """The saved state, or None where there is no file; raises `StateMismatch` for a state of another run."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
        saved = json.loads(metadata["run"])
        round_number, best_round = int(metadata["round_number"]), int(metadata["best_round"])
        validation = tuple(json.loads(metadata["validation"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StateMismatch(f"{path} is not a saved training state ({error}); --fresh discards it") from error
    different = sorted(name for name in saved.keys() | run.keys() if saved.get(name) != run.get(name))
    if different:
        sides = "; ".join(f"{name} {saved.get(name)!r} there and {run.get(name)!r} here" for name in different)
        raise StateMismatch(
            f"{path} holds round {round_number} of another run: {sides}. "
            f"Give the same settings to go on with it, or --fresh to discard it"
        )
    parameters, statistics, best = (
        {name.removeprefix(group): array for name, array in arrays.items() if name.startswith(group)}
        for group in ("parameters/", "statistics/", "best/")
    )
    return ServerState(round_number, parameters, statistics, validation, best, best_round)
