"""The ServerApp: a training over the cells, from the request that its run names to a signed checkpoint.

It saves its state after each round in the registry's training folder, as `hearth train` does, and the next run with
the same settings goes on from there. What went wrong is an exception here, so that Flower's state of the run is true.
"""

import logging
import os
import secrets
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from feature_store.catalogue import read_catalogue
from feature_store.checkpoint import Checkpoint
from feature_store.errors import BadInput, HearthError
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from training.federation.centre import Request, RunOutcome, read_request, write_outcome
from training.federation.errors import TooFewCells
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.grid_exchange import GridExchange
from training.loop import RoundReport
from training.transport import Cohorts

CENTRE = "HEARTH_FEDERATION_CENTRE"
"""The environment variable with the folder of requests."""

_LOG = logging.getLogger("training.federation")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Do what the request of the run asks for, and say in its folder what became of it."""
    logging.basicConfig(level=logging.INFO)
    if CENTRE not in os.environ:
        raise BadInput(f"the environment variable {CENTRE} names the folder of requests; it is not set")
    folder, name = Path(os.environ[CENTRE]), str(context.run_config.get("request", ""))
    request = read_request(folder, name)
    try:
        outcome = train(grid, request)
    except (HearthError, OSError) as error:
        write_outcome(folder, name, RunOutcome(error=f"{type(error).__name__}: {error}"))
        raise
    write_outcome(folder, name, outcome)


def train(grid: Grid, request: Request) -> RunOutcome:
    """Train over the cells of that grid, publish, and let the cells adopt what is promoted."""
    # TensorFlow takes seconds to start: the cells are found first.
    from training.catalogue_features import catalogue_features  # noqa: PLC0415 - see above
    from training.convergence import has_converged  # noqa: PLC0415
    from training.federation.federated_run import (  # noqa: PLC0415
        grown_catalogues,
        grown_vocabulary,
        loss_settings,
        prepare_federated,
        require_federated,
    )
    from training.item_features import ItemFeatures  # noqa: PLC0415
    from training.saved_rounds import saved_rounds  # noqa: PLC0415

    require_federated(request.settings)
    key = SigningKey.load_or_create(request.signing_key)
    registry = Registry(request.registry, TrustedKeys([key.public]))
    production = in_production(registry)
    catalogue = None if request.catalogue is None else read_catalogue(request.catalogue)
    vocabulary = grown_vocabulary(production, () if catalogue is None else (item.item_id for item in catalogue))
    settings, traffic = request.settings, Traffic()
    exchange = GridExchange(grid, request.deadline_seconds)
    there = exchange.gather(request.cells, request.gather_seconds)
    if len(there) < request.quorum:
        raise TooFewCells(
            f"{request.quorum} cells are needed; after {request.gather_seconds:g} seconds there are "
            f"{', '.join(there) or 'none'}"
        )
    run_id = f"run-{secrets.token_hex(8)}"
    patience = request.gather_seconds
    taken_up = take_up(exchange, run_id, vocabulary, request.held_out, request.quorum, traffic, patience)
    run = prepare_federated(
        vocabulary,
        ItemFeatures(len(vocabulary))
        if catalogue is None
        else catalogue_features(vocabulary, catalogue, settings.tower),
        settings,
        FlowerTransport(
            exchange,
            run_id,
            taken_up,
            Cohorts(settings.cohort, taken_up.clients, settings.seed),
            loss_settings(settings, len(vocabulary)),
            request.quorum,
            traffic,
            patience,
        ),
        validates=request.validates,
        production=production,
    )
    catalogues = grown_catalogues(production, request.vertical, len(vocabulary))
    with saved_rounds(run, registry.folder / "training", fresh=request.fresh, show=_told) as trained:
        chosen = trained.state.chosen()
        manifest = registry.publish(run.draft(chosen, catalogues), key)
    adopted: dict[str, int] = {}
    if request.promote:
        registry.promote(manifest.checkpoint_id, why="a federated training asked for it")
        adopted = _adopted(run.transport, manifest.checkpoint_id)
    return RunOutcome(
        checkpoint_id=manifest.checkpoint_id,
        rounds=trained.state.round_number,
        published_round=chosen.round_number,
        resumed_at=trained.resumed_at,
        converged=has_converged(trained.state.validation, settings.patience),
        cells=taken_up.cells,
        clients=taken_up.clients,
        downlink_bytes=traffic.downlink,
        uplink_bytes=traffic.uplink,
        training_seconds=sum(report.seconds for report in trained.reports),
        valid=dict(manifest.metrics),
        promoted=request.promote,
        adopted=adopted,
        log=trained.log,
    )


def in_production(registry: Registry) -> Checkpoint | None:
    """The checkpoint in production; None where nothing was promoted yet."""
    production = registry.stages().production if registry.folder.is_dir() else None
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
