"""Saved rounds: the rounds of a run with their state on the disk after each, whatever interrupts them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from feature_store.durable import exclusive, remove_drafts
from feature_store.errors import BadInput
from training.evaluation import Quality
from training.loop import RoundReport
from training.run_log import RoundRecord, append, keep
from training.server_state import Run, ServerState, load_state, save_state


class Resumable(Protocol):
    """A run that can be gone on with."""

    def identity(self) -> Run:
        """What its numbers follow from; see `training.server_state.load_state`."""
        ...

    def start(self) -> ServerState:
        """The state before the first round."""
        ...

    def rounds(
        self, state: ServerState, *, judged: Callable[[Quality], None]
    ) -> Iterator[tuple[ServerState, RoundReport]]:
        """Go on from `state` to the end; see `training.loop.run_rounds`.

        judged: told the quality on the validation items, where it was measured, before the report of its round.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What the rounds came to.

    state: after the last round. resumed_at: rounds that an earlier session had done.
    reports: of the rounds of this session. log: of all rounds, as far as their records are there.
    """

    state: ServerState
    resumed_at: int
    reports: tuple[RoundReport, ...]
    log: tuple[RoundRecord, ...]


@contextmanager
def saved_rounds(
    run: Resumable, folder: Path, *, fresh: bool = False, show: Callable[[RoundReport], None]
) -> Iterator[Trained]:
    """Do the rounds that are left. What is saved of them is removed when the block ends without an error.

    A process that is killed, in here or in the block, is gone on with by the next one, to the same numbers.

    Args:
        run: what to train.
        folder: where state and log of the rounds are saved.
        fresh: discard what is saved of an unfinished run.
        show: told of each round.

    Raises:
        StateMismatch: another run was not finished here, and `fresh` is not set.
        BadInput: another process is training here.
    """
    file, log_file = state_file(folder), log_of_rounds(folder)
    identity = run.identity()
    qualities: list[Quality] = []
    with _alone(folder):
        remove_drafts(file)
        if fresh:
            file.unlink(missing_ok=True)
        state = load_state(file, identity) or run.start()
        resumed_at, reports = state.round_number, []
        log = [*keep(log_file, resumed_at)]
        for after, told in run.rounds(state, judged=qualities.append):
            state = after
            log.append(RoundRecord.of(told, None if told.validation is None else qualities[-1], datetime.now(UTC)))
            append(log_file, log[-1])  # before the state, so that the log never has fewer rounds
            save_state(file, state, identity)
            reports.append(told)
            show(told)
        yield Trained(state, resumed_at, tuple(reports), tuple(log))
        _remove(folder)


def discard(folder: Path) -> None:
    """Remove what is saved of a run; raises `BadInput` where another process is training."""
    with _alone(folder):
        _remove(folder)


def state_file(folder: Path) -> Path:
    """Where the state is saved."""
    return folder / "state.safetensors"


def log_of_rounds(folder: Path) -> Path:
    """Where the log of rounds is."""
    return folder / "rounds.jsonl"


def _remove(folder: Path) -> None:
    state_file(folder).unlink(missing_ok=True)
    log_of_rounds(folder).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of the state for one session; two would overwrite each other's."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(folder / "lock", wait=False))
        except BlockingIOError as error:
            raise BadInput(
                f"another process is training in {folder.parent}; wait for it, or name another registry"
            ) from error
        yield
