"""The ServerApp: a training over the cells, from the request that its run names to a signed checkpoint.

It saves its state after each round in the registry's training folder, as `hearth train` does, and the next run with
the same settings goes on from there. What went wrong is an exception here, so that Flower's state of the run is true.
"""

import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from feature_store.catalogue import read_catalogue
from feature_store.checkpoint import Checkpoint
from feature_store.errors import BadInput, HearthError
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from training.federation.adding import Adding, plainly
from training.federation.centre import Request, RunOutcome, read_request, write_outcome
from training.federation.centre_sums import adding_of
from training.federation.errors import TooFewCells
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.grid_exchange import GridExchange
from training.federation.one_run import only_run
from training.federation.private_run import begun_private, end_private, private_transport
from training.federation.promotion import Promotion, announce, came_about, forget
from training.federation.secure_adding import Securely
from training.loop import RoundReport
from training.transport import Cohorts

CENTRE = "HEARTH_FEDERATION_CENTRE"
"""The environment variable with the folder of requests."""

_LOG = logging.getLogger("training.federation")
_LONGEST_WHY = 1000  # characters that the registry's trail takes

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Do what the request of the run asks for, and say in its folder what became of it."""
    logging.basicConfig(level=logging.INFO)
    if CENTRE not in os.environ:
        raise BadInput(f"the environment variable {CENTRE} names the folder of requests; it is not set")
    answer(grid, Path(os.environ[CENTRE]), str(context.run_config.get("request", "")))


def answer(grid: Grid, folder: Path, name: str) -> None:
    """Do over the cells of that grid what the request of that name asks for, and say beside it what became of it.

    folder: of requests. What a run raises is raised when it is said.
    """
    request = read_request(folder, name)

    def promoting(outcome: RunOutcome) -> None:
        announce(folder, Promotion(name=name, request=request, outcome=outcome))

    def told(outcome: RunOutcome) -> None:
        write_outcome(folder, name, outcome)
        forget(folder)

    try:
        with only_run(folder):
            outcome = _promoted_before(folder, request)
            if outcome is None:
                outcome = train(grid, request, promoting, told, adding_of(folder))
            told(outcome)
    except (HearthError, OSError) as error:
        write_outcome(folder, name, RunOutcome(error=f"{type(error).__name__}: {error}"))
        raise


def train(
    grid: Grid,
    request: Request,
    promoting: Callable[[RunOutcome], None] = lambda _: None,
    told: Callable[[RunOutcome], None] = lambda _: None,
    adding: Adding = plainly,
) -> RunOutcome:
    """Train over the cells of that grid, publish, and let the cells adopt what is promoted.

    promoting: the outcome as it is if the promotion that follows comes about.
    told: the outcome once it is certain, before the cells adopt anything: a process that is killed while they do has
        promoted all the same.
    adding: what adds the sums of cells; see `training.federation.centre_sums`.
    """
    # TensorFlow takes seconds to start: the cells are found first.
    from training.catalogue_features import catalogue_features  # noqa: PLC0415 - see above
    from training.convergence import has_converged  # noqa: PLC0415
    from training.federation.comparison import require_comparable  # noqa: PLC0415
    from training.federation.federated_run import (  # noqa: PLC0415
        grown_catalogues,
        grown_vocabulary,
        loss_settings,
        prepare_federated,
        require_federated,
        trained_until,
    )
    from training.federation.retraining import gated, must_begin_anew, nothing_new  # noqa: PLC0415
    from training.item_features import ItemFeatures  # noqa: PLC0415
    from training.saved_rounds import saved_rounds  # noqa: PLC0415

    require_federated(request.settings)
    registry, key = _registry_of(request)
    production = in_production(registry)
    catalogue = None if request.catalogue is None else read_catalogue(request.catalogue)
    vocabulary = grown_vocabulary(production, () if catalogue is None else (item.item_id for item in catalogue))
    settings, traffic, rules = request.settings, Traffic(), request.retraining
    since = 0.0 if production is None else trained_until(production)
    if rules is not None and settings.privacy is not None:
        raise BadInput(
            "a gate goes by figures of people's data that no noise is added to: train in private without one"
        )
    if rules is not None and production is not None:
        require_comparable(production)
    exchange = GridExchange(grid, request.deadline_seconds)
    there = exchange.gather(request.cells, request.gather_seconds)
    if len(there) < request.quorum:
        raise TooFewCells(
            f"{request.quorum} cells are needed; after {request.gather_seconds:g} seconds there are "
            f"{', '.join(there) or 'none'}"
        )
    goes_on = begun_private(request, vocabulary)
    run_id = goes_on.run_id if goes_on else f"run-{secrets.token_hex(8)}"
    patience = request.gather_seconds
    taken_up = take_up(
        exchange,
        run_id,
        vocabulary,
        request.held_out,
        request.quorum,
        traffic,
        patience,
        adding,
        since=since,
        private=settings.privacy is not None,
    )
    if rules is not None and production is not None and taken_up.new_items < rules.least_new_events:
        return nothing_new(production, taken_up, traffic, rules)
    transport = FlowerTransport(
        exchange,
        run_id,
        taken_up,
        Cohorts(settings.cohort, goes_on.people if goes_on else taken_up.clients, settings.seed),
        loss_settings(settings, len(vocabulary)),
        request.quorum,
        traffic,
        patience,
        adding,
    )
    run = prepare_federated(
        vocabulary,
        ItemFeatures(len(vocabulary))
        if catalogue is None
        else catalogue_features(vocabulary, catalogue, settings.tower),
        settings,
        transport,
        validates=request.validates,
        production=production,
        warm=rules is not None and rules.start == "production",
        events_until=time.time(),
        private=private_transport(transport, request, vocabulary, goes_on),
    )
    fresh = request.fresh or (rules is not None and must_begin_anew(run, request.saved, rules))
    catalogues = grown_catalogues(production, request.vertical, len(vocabulary))
    with saved_rounds(run, request.saved, fresh=fresh, show=_told) as trained:
        chosen = trained.state.chosen()
        if rules is None:
            manifest, retrained = registry.publish(run.draft(chosen, catalogues), key), None
        else:
            manifest, retrained = gated(run, chosen, catalogues, rules, registry, key)
        promotes = request.promote if retrained is None else retrained.decision == "promoted"
        outcome = RunOutcome(
            checkpoint_id=manifest.checkpoint_id,
            rounds=trained.state.round_number,
            published_round=chosen.round_number,
            resumed_at=trained.resumed_at,
            converged=has_converged(trained.state.validation, settings.patience),
            cells=taken_up.cells,
            secure_sums=isinstance(adding, Securely),
            clients=taken_up.clients,
            downlink_bytes=traffic.downlink,
            uplink_bytes=traffic.uplink,
            training_seconds=sum(report.seconds for report in trained.reports),
            valid=dict(manifest.metrics),
            promoted=promotes,
            missed=tuple(traffic.missed),
            retrained=retrained,
            privacy=manifest.privacy,
            log=trained.log,
        )
        if promotes:
            promoting(outcome)
            why = f"the gate: {retrained.why}" if retrained else "a federated training asked for it"
            registry.promote(manifest.checkpoint_id, who=request.actor, why=why[:_LONGEST_WHY])
        end_private(request)  # before the saved rounds are gone: those alone would not ask for anything again
    if not promotes:
        return outcome
    told(outcome)
    adopted = _adopted(run.transport, manifest.checkpoint_id)
    sent = {"downlink_bytes": traffic.downlink, "uplink_bytes": traffic.uplink, "missed": tuple(traffic.missed)}
    return outcome.model_copy(update={"adopted": adopted, **sent})


def _registry_of(request: Request) -> tuple[Registry, SigningKey]:
    """Where a run publishes, and what it signs with."""
    key = SigningKey.load_or_create(request.signing_key)
    return Registry(request.registry, TrustedKeys([key.public])), key


def _promoted_before(folder: Path, request: Request) -> RunOutcome | None:
    """What a run that was killed promoted for that request, if one did. Nothing is left of its rounds then.

    That cells have not adopted it is no failure: people are folded in as they ask.
    """
    registry, _ = _registry_of(request)
    outcome = came_about(folder, request, registry)
    if outcome is not None:
        from training.saved_rounds import discard  # noqa: PLC0415 - TensorFlow

        _LOG.warning("%s was promoted by a run that was killed before it said so", outcome.checkpoint_id)
        end_private(request)
        discard(request.saved)
    return outcome


def in_production(registry: Registry) -> Checkpoint | None:
    """The checkpoint in production; None where nothing was promoted yet."""
    production = registry.stages().production
    return None if production is None else registry.load(production)


def _adopted(transport: FlowerTransport, checkpoint_id: str) -> dict[str, int]:
    """What came of the adoption. That no cell did is no failure of the training: people are folded in as they ask."""
    try:
        return dict(transport.adopt(checkpoint_id))
    except TooFewCells as error:
        _LOG.warning("%s", error)
        return {}


def _told(report: RoundReport) -> None:
    _LOG.info(
        "round %d: %d clients, loss %.4f, %.1f s", report.round_number, report.cohort, report.loss, report.seconds
    )
