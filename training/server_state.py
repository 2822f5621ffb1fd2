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
    """

    round_number: int
    parameters: Mapping[str, Float32Array]
    statistics: Mapping[str, Float32Array] = field(default_factory=dict)
    validation: tuple[float, ...] = ()


def save_state(path: Path, state: ServerState, run: Run) -> None:
    """Put the state in the place of the file, whole or not at all.

    run: what the state depends on besides itself (settings, digest of the data); `load_state` holds to it.
    """
    arrays = {f"parameters/{name}": array for name, array in state.parameters.items()}
    arrays |= {f"statistics/{name}": array for name, array in state.statistics.items()}
    metadata = {
        "round_number": str(state.round_number),
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
        round_number, validation = int(metadata["round_number"]), tuple(json.loads(metadata["validation"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StateMismatch(f"{path} is not a saved training state: {error}") from error
    different = sorted(name for name in saved.keys() | run.keys() if saved.get(name) != run.get(name))
    if different:
        theirs, ours = ({name: side.get(name) for name in different} for side in (saved, run))
        raise StateMismatch(
            f"{path} holds round {round_number} of a run with {theirs}; this run has {ours}. "
            f"Give the same settings to go on with it, or --fresh to begin again"
        )
    parameters, statistics = (
        {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        for prefix in ("parameters/", "statistics/")
    )
    return ServerState(round_number, parameters, statistics, validation)
