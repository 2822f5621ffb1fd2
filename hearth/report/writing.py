"""Writing a report: beside the registry's checkpoints, whole or not at all, and never at the cost of one.

runs/<checkpoint id>/report.html        for people
runs/<checkpoint id>/run.json           the same figures for programs, and for the reports of later runs
runs/<checkpoint id>/tensorboard/       for `tensorboard --logdir <registry>/runs`
"""

import os
import secrets
import shutil
from pathlib import Path

from feature_store.durable import sync_folder, write_synced
from feature_store.registry import Registry
from feature_store.row_ranges import item_count
from hearth.report.page import page
from hearth.report.record import RECORD, RunRecord, find_parent, runs_folder
from hearth.training_session import Outcome, Reported
from training.quality_groups import QualityGroups, quality_by_group
from training.run import TrainingRun
from training.split_statistics import split_statistics
from training.summaries import write_summaries

PAGE = "report.html"


def report_run(run: TrainingRun, outcome: Outcome, registry: Registry) -> Reported:
    """Write the report of a run whose checkpoint is published; where that fails, say so and leave the rest as it is.

    For whoever alone may train into that registry: what a killed process has left of a report is removed.
    """
    folder = runs_folder(registry) / outcome.manifest.checkpoint_id
    try:
        _write(folder, run, outcome, registry)
    except OSError as error:
        return Reported(folder / PAGE, f"{error.filename or folder}: {error.strerror or error}")
    return Reported(folder / PAGE)


def _write(folder: Path, run: TrainingRun, outcome: Outcome, registry: Registry) -> None:
    parent = find_parent(registry, outcome.manifest)
    record = record_of(run, outcome, parent.manifest.checkpoint_id if parent else None)
    runs = folder.parent
    if not runs.is_dir():
        runs.mkdir()
        sync_folder(registry.folder)
    for left_over in runs.glob(".*"):
        shutil.rmtree(left_over)
    draft = runs / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        draft.mkdir()
        write_synced(draft / PAGE, page(record, parent))
        write_synced(draft / RECORD, record.to_bytes())
        write_summaries(draft / "tensorboard", record.rounds, _as_markdown(record))
        for written in (draft / "tensorboard").iterdir():
            _sync(written)
        sync_folder(draft / "tensorboard")
        sync_folder(draft)
        if folder.exists():  # the same checkpoint again, by a session that knows at least as much of its rounds
            folder.rename(runs / f".{folder.name}.{secrets.token_hex(4)}.old")
        draft.rename(folder)
        sync_folder(runs)
    finally:
        for left_over in runs.glob(".*"):
            shutil.rmtree(left_over)


def record_of(run: TrainingRun, outcome: Outcome, parent_id: str | None) -> RunRecord:
    """All that there is to tell of a run."""
    manifest = outcome.manifest
    stopping = {"rounds": run.settings.rounds, "patience": run.settings.patience}
    return RunRecord(
        checkpoint_id=manifest.checkpoint_id,
        parent_id=parent_id,
        created=manifest.created,
        catalogues={name: item_count(ranges) for name, ranges in manifest.catalogues.items()},
        round_number=manifest.round_number,
        rounds_done=outcome.rounds,
        converged=outcome.converged,
        rounds=outcome.log,
        uplink_bytes_once=outcome.uplink_bytes_once,
        metrics=manifest.metrics,
        groups=_groups(run, outcome) if run.split.valid.rows.size else None,
        statistics=split_statistics(run.split),
        facts={**manifest.training, **stopping},
        training_settings=run.settings.model_dump(mode="json"),
    )


def _groups(run: TrainingRun, outcome: Outcome) -> QualityGroups:
    """Of the people whom the validation figures are of."""
    split, items = run.split, run.tower.items
    return quality_by_group(
        run.scorer(outcome.state, outcome.collected),
        split.train,
        items,
        split.valid,
        split.met_before_valid,
        run.settings.validation_users,
    )


def _as_markdown(record: RunRecord) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in sorted(record.facts.items()))
    return f"Checkpoint {record.checkpoint_id}\n\n| setting | value |\n|---|---|\n{rows}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
