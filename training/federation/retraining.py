"""Retraining: what a training over cells does beside the training when the gate decides, and not its operator."""

import logging
import time
from pathlib import Path

from feature_store.checkpoint import Checkpoint
from feature_store.errors import StateMismatch
from feature_store.manifest import CheckpointManifest
from feature_store.registry import Registry
from feature_store.row_ranges import Catalogues
from feature_store.signing import SigningKey
from training.federation.centre import Retrained, RetrainingRules, RunOutcome
from training.federation.comparison import CANDIDATE, POPULARITY, PRODUCTION, compare
from training.federation.federated_run import FederatedRun, trained_until
from training.federation.flower_transport import TakenUp, Traffic
from training.gate import decide
from training.saved_rounds import state_file
from training.server_state import ServerState, load_state

_LOG = logging.getLogger("training.federation")


def nothing_new(production: Checkpoint, taken_up: TakenUp, traffic: Traffic, rules: RetrainingRules) -> RunOutcome:
    """The outcome where too little has happened since production to train again."""
    why = f"{taken_up.new_items:,} items were met since production; {rules.least_new_events:,} are needed"
    return RunOutcome(
        cells=taken_up.cells,
        clients=taken_up.clients,
        downlink_bytes=traffic.downlink,
        uplink_bytes=traffic.uplink,
        missed=tuple(traffic.missed),
        retrained=Retrained(
            production=production.manifest.checkpoint_id,
            decision="skipped",
            why=why,
            since=trained_until(production),
            new_items=taken_up.new_items,
        ),
    )


def must_begin_anew(run: FederatedRun, folder: Path, rules: RetrainingRules) -> bool:
    """Whether what is saved of an unfinished run is of another run than this, or older than is gone on with."""
    file = state_file(folder)
    try:
        if load_state(file, run.identity()) is None:
            return False
    except StateMismatch as error:
        _LOG.warning("an unfinished run is discarded: %s", error)
        return True
    age = time.time() - file.stat().st_mtime
    if age > rules.resume_seconds:
        _LOG.warning("an unfinished run is discarded: it is %.0f seconds old", age)
    return age > rules.resume_seconds


def gated(
    run: FederatedRun,
    state: ServerState,
    catalogues: Catalogues,
    rules: RetrainingRules,
    registry: Registry,
    key: SigningKey,
) -> tuple[CheckpointManifest, Retrained]:
    """Judge the state beside production, publish it as a candidate, and say whether it is to be promoted."""
    compared = compare(run, state, rules.gate.least_people)
    found = compared.figures
    manifest = registry.publish(run.draft(state, catalogues, found.get(CANDIDATE)), key)
    decision = decide(rules.gate, found.get(CANDIDATE), found.get(PRODUCTION), found.get(POPULARITY))
    before = run.production
    promotes, why = decision.promotes, decision.why
    if before is not None and manifest.checkpoint_id == before.manifest.checkpoint_id:
        promotes, why = False, "the training came to the checkpoint that is in production"
    _LOG.info("the gate: %s", why)
    return manifest, Retrained(
        production=before.manifest.checkpoint_id if before else None,
        decision="promoted" if promotes else "kept",
        why=why,
        checks=decision.checks,
        figures={name: quality.figures() for name, quality in found.items()},
        judged_by=compared.judged_by,
        since=trained_until(before) if before else 0.0,
        new_items=run.transport.taken_up.new_items,
        warm=run.warm,
    )
