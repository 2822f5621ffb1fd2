"""A training session: rounds with their state saved, then a checkpoint published, whatever interrupts it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feature_store.manifest import CheckpointManifest
from feature_store.registry import Registry
from feature_store.row_ranges import Catalogues
from feature_store.signing import SigningKey
from training.context import TrainedContext
from training.convergence import has_converged
from training.item_item import Collected
from training.loop import RoundReport
from training.run import TrainingRun
from training.run_log import RoundRecord
from training.saved_rounds import saved_rounds
from training.server_state import ServerState


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report.

    page: where it is, or would be.
    fault: why it is not there; empty where it is.
    """

    page: Path
    fault: str = ""

    def summary(self) -> dict[str, Any]:
        """For a program."""
        return {"report": None, "report_fault": self.fault} if self.fault else {"report": str(self.page)}

    def text(self) -> str:
        """For a person."""
        return f"The report could not be written: {self.fault}" if self.fault else f"Report: {self.page}"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a session came to.

    state: what was published: the state that validated best, or the last where nothing was validated.
    rounds: rounds done.
    resumed_at: rounds that an earlier session had done.
    reports: of the rounds of this session.
    log: the records of all rounds, those of earlier sessions too, as far as they are there.
    converged: whether training stopped by itself, and not at its round limit.
    collected: the item-item weights, where they were asked for.
    context: what context adds to user embeddings, where it was asked for.
    reported: what became of the report, where one was asked for.
    """

    manifest: CheckpointManifest
    state: ServerState
    rounds: int
    resumed_at: int
    reports: tuple[RoundReport, ...]
    log: tuple[RoundRecord, ...]
    converged: bool
    collected: Collected | None = None
    reported: Reported | None = None
    context: TrainedContext | None = None

    @property
    def seconds(self) -> float:
        """Of training in this session, evaluation apart."""
        return sum(report.seconds for report in self.reports)

    @property
    def uplink_bytes_once(self) -> int:
        """What each client sent after the rounds, once."""
        return sum(phase.uplink_bytes_per_client for phase in (self.collected, self.context) if phase)

    def summary(self) -> dict[str, Any]:
        """For a program."""
        uplink = self.reports[-1].uplink_bytes_per_client if self.reports else None
        return {
            "checkpoint_id": self.manifest.checkpoint_id,
            "rounds": self.rounds,
            "published_round": self.state.round_number,
            "resumed_at": self.resumed_at,
            "converged": self.converged,
            "training_seconds": self.seconds,
            "uplink_bytes_per_client_and_round": uplink,
            "uplink_bytes_per_client_once": self.uplink_bytes_once,
            "valid": dict(self.manifest.metrics),
            **(self.reported.summary() if self.reported else {}),
        }

    def text(self) -> str:
        """For a person."""
        resumed = f", going on from round {self.resumed_at}" if self.resumed_at else ""
        ended = "converged" if self.converged else "reached its limit"
        best = f", of round {self.state.round_number}, which validated best" if self.state.best else ""
        return (
            f"Training {ended} after {self.rounds} rounds in {self.seconds:.1f} s{resumed}.\n"
            f"Published checkpoint {self.manifest.checkpoint_id}{best}."
        )


def train_to_checkpoint(
    run: TrainingRun,
    registry: Registry,
    key: SigningKey,
    *,
    catalogues: Catalogues,
    fresh: bool = False,
    show: Callable[[RoundReport], None],
    report: Callable[[Outcome], Reported] | None = None,
) -> Outcome:
    """Run the rounds that are left, then publish the state that validated best, then report on the run.

    State and log of the rounds are saved in the registry's folder after each round, and removed once all is done. A
    session that is killed is gone on with by the next one, to the same numbers and with all its rounds on record.

    Args:
        run: what to train.
        registry: where to publish.
        key: what signs the checkpoint.
        catalogues: vertical -> rows of its items.
        fresh: discard what is saved of an unfinished run.
        show: told of each round.
        report: writes the report, once the checkpoint is published; it raises nothing.

    Raises:
        StateMismatch: another run was not finished here, and `fresh` is not set.
        BadInput: another process is training here.
    """
    with saved_rounds(run, registry.folder / "training", fresh=fresh, show=show) as trained:
        state = trained.state
        chosen = state.chosen()
        collected = run.item_item(chosen)
        context = run.context(chosen, catalogues)
        manifest = registry.publish(run.draft(chosen, catalogues, collected, context), key)
        outcome = Outcome(
            manifest,
            chosen,
            state.round_number,
            trained.resumed_at,
            trained.reports,
            trained.log,
            converged=has_converged(state.validation, run.settings.patience),
            collected=collected,
            context=context,
        )
        if report:
            outcome = replace(outcome, reported=report(outcome))
    return outcome
