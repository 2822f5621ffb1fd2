"""Comparison: a candidate and what is in production, judged by the same people and the same held-out items.

A person's newest items are held out of the candidate's training. Production was trained earlier, when other items were
the newest: what is held out now and was met before then, production may have trained on, and knowing the answer it
would look better than it is. So it is judged by held-out items that were met after production's training had read the
events, wherever enough people have any; neither has seen those. Where too few have, all held-out items judge, which
favours production, and the outcome says so.

An item that production does not know is one that it would never have recommended. It counts among what a person was
after, production ranks without it, and so misses it, as it would have in truth.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.blend import discounts
from feature_store.checkpoint import Checkpoint
from feature_store.errors import BadInput
from training.client_update import ITEM_COUNTS
from training.evaluation import Quality
from training.federation.centre import JudgedBy
from training.federation.errors import TooFewCells
from training.federation.federated_run import FederatedRun, trained_until
from training.federation.flower_transport import FlowerTransport, Judged
from training.federation.tasks import LossSettings
from training.server_state import ServerState

_LOG = logging.getLogger("training.federation")
_ATTEMPTS = 3  # to find the same cells there for each of two evaluations

CANDIDATE, PRODUCTION, POPULARITY = "candidate", "production", "popularity"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures by candidate, production and popularity, as far as there is such a one, and what they are of."""

    figures: Mapping[str, Quality]
    judged_by: JudgedBy


@dataclass(frozen=True, slots=True, eq=False)
class _Ranking:
    """What ranks: item vectors, what each item's scores are multiplied by, and the weights of folding in."""

    vectors: Float32Array
    discounts: Float32Array
    loss: LossSettings


def compare(run: FederatedRun, state: ServerState, least_people: int) -> Comparison:
    """Judge the state beside production, or beside popularity where nothing is in production.

    least_people: so many have to have a held-out item newer than production's training for those to judge alone.

    Raises:
        TooFewCells: fewer than the quorum can judge, or they come and go.
    """
    taken, production, transport = run.transport.taken_up, run.production, run.transport
    rankings = {CANDIDATE: _candidate(run, state)}
    if production is not None:
        rankings[PRODUCTION] = _of_checkpoint(production)
    else:
        rankings[POPULARITY] = _popularity(state.statistics[ITEM_COUNTS], transport.loss)
    if production is not None and taken.judged_new >= least_people:
        at_once = replace(transport, patience_seconds=0.0)  # who has too few such people has as few in a minute
        try:
            figures = _figures(at_once, rankings, state.round_number, trained_until(production))
        except TooFewCells as error:
            _LOG.warning("items newer than production do not judge: %s", error)
        else:
            return Comparison(figures, "newer than production")
    if not taken.judged:
        return Comparison({}, "nothing")
    return Comparison(_figures(transport, rankings, state.round_number, 0.0), "held out")


def require_comparable(production: Checkpoint) -> None:
    """Raise `BadInput` for a checkpoint that ranks by more than cells judge by."""
    for what, there in (("item-item weights", production.item_item), ("context", production.query_tower)):
        if there is not None:
            raise BadInput(
                f"{production.manifest.checkpoint_id}, in production, has {what}, which a training over cells does not "
                f"make and cells do not judge by: the two cannot be compared. Put one without into production first"
            )


def _figures(
    transport: FlowerTransport, rankings: Mapping[str, _Ranking], rounds: int, since: float
) -> Mapping[str, Quality]:
    """The quality of each, of the same people."""
    for _ in range(_ATTEMPTS):
        judged = {
            name: transport.judge(x.vectors, x.discounts, x.loss, 0, rounds, since) for name, x in rankings.items()
        }
        if len({_whom(one) for one in judged.values()}) == 1:
            return {name: one.quality for name, one in judged.items()}
        _LOG.warning("cells came or went between two evaluations: %s", {n: x.cells for n, x in judged.items()})
    raise TooFewCells(f"in each of {_ATTEMPTS} attempts other cells judged the one than judged the other")


def _whom(judged: Judged) -> tuple[tuple[str, ...], int]:
    return judged.cells, judged.quality.users


def _candidate(run: FederatedRun, state: ServerState) -> _Ranking:
    return _Ranking(run.item_vectors(state), discounts(state.statistics[ITEM_COUNTS], run.blend), run.transport.loss)


def _of_checkpoint(checkpoint: Checkpoint) -> _Ranking:
    weights = checkpoint.manifest.fold_in
    loss = LossSettings(alpha=weights.alpha, regularization=weights.regularization, activity_exponent=0.0)
    return _Ranking(checkpoint.item_vectors, discounts(checkpoint.item_counts, checkpoint.manifest.blend), loss)


def _popularity(item_counts: Float32Array, loss: LossSettings) -> _Ranking:
    """The same order for everybody: item vectors of one number, which a user embedding multiplies by another."""
    vectors = (item_counts / max(float(item_counts.max()), 1.0)).astype(np.float32)[:, None]
    return _Ranking(vectors, np.ones(len(item_counts), np.float32), loss)
