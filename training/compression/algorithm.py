"""Compressed rounds as an algorithm: a survey, then rounds of which each asks for some rows of the gradient.

    round 1        everybody adds its sums but the gradient, and how long the gradient's rows are; no step is taken
    later rounds   everybody adds the rows asked for, rounded, and p pᵀ; the server steps those rows

Everybody takes part in each round, as a cell's bytes do not depend on how many of its people do. So item counts and
each item's share of the energy are known from the survey, and need not be sent again. No cell keeps anything from round
to round: one that was away misses what it missed and no more.

The step of a row is the near-Newton step of `training.curvature`. How far apart the levels of a row are follows from
its sums so far: a cell's numbers have about 1/√n of the root mean square of a sum of n cells, were they independent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.aggregation import scaled_to_population
from training.algorithm import Algorithm
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.compression.announcement import Announcement, Uint8Array, announced, step_codes, steps_of
from training.compression.client import ENERGY, GRAM, LENGTHS, WORDS, compressed
from training.compression.digits import unpacked
from training.compression.settings import CompressionSettings
from training.compression.turns import asked_rows, first_credit, turns_a_round
from training.content_fit import placed
from training.curvature import newton_step
from training.item_tower import ItemTower, Parameters
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.tower_settings import DEFAULT, TowerSettings

SHARE, WEIGHT, SCALE, CREDIT = "item_share", "mean_weight", "row_scale", "row_credit"
"""Beside the counts, what the server remembers: w_i of each item, the clients' mean weight, the root mean square of a
cell's numbers in each row, and the turns that each row is owed."""

LocalUpdate: TypeAlias = Callable[[Float32Array, Sequence[Int32Array]], ClientUpdate]
_KEPT = np.float32(0.5)  # of what a row's scale was


def compressed_algorithm(
    tower: ItemTower,
    weights: FoldInSettings,
    clients: int,
    settings: CompressionSettings,
    local_update: LocalUpdate,
    content: TowerSettings = DEFAULT,
) -> Algorithm[Announcement, Int32Array]:
    """The rounds.

    Args:
        tower: whose parameters are trained.
        weights: of the loss.
        clients: size of the population.
        settings: see there.
        local_update: from item vectors and histories to the sums of `training.reconstruction.curvature_update`.
        content: how the content part of the tower is fitted.
    """

    def broadcast(state: ServerState) -> Announcement:
        return announced(tower.item_vectors(state.parameters), _codes(state, settings), settings)

    def client_update(asked: Announcement, histories: Sequence[Int32Array]) -> ClientUpdate:
        return compressed(local_update(asked.vectors, histories), asked, weights)

    def init(parameters: Parameters) -> Mapping[str, Float32Array]:
        del parameters
        per_item = (ITEM_COUNTS, SHARE, SCALE, CREDIT)
        return {WEIGHT: np.zeros(1, np.float32), **{name: np.zeros(tower.items, np.float32) for name in per_item}}

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        if state.round_number == 0:
            return replace(state, round_number=1, statistics=_surveyed(update, clients, tower, settings))
        known, totals = state.statistics, scaled_to_population(update, clients)
        codes = _codes(state, settings)
        rows = np.flatnonzero(codes)
        whole = unpacked(update.sums[WORDS], len(rows) * tower.dim, settings.levels, settings.cells)
        sums = whole.reshape(len(rows), tower.dim) * steps_of(codes[rows])[:, None]

        alpha = np.float32(weights.alpha)
        ridge = np.float32(weights.regularization) * known[WEIGHT] * (known[ITEM_COUNTS] + alpha * np.float32(clients))
        gradient = (sums * (clients / update.clients)).astype(np.float32)
        gram = symmetric(totals[GRAM], tower.dim)
        step = newton_step(gradient, gram, known[SHARE][rows, None] + alpha, ridge[rows, None])
        rate = np.float32(settings.learning_rate / (1 + (state.round_number - 1) / settings.decay_rounds))
        target = np.array(tower.item_vectors(state.parameters))
        target[rows] -= rate * step

        scale, credit = known[SCALE].copy(), known[CREDIT] + turns_a_round(known[ITEM_COUNTS], settings.rows)
        found = np.sqrt(np.square(sums).mean(axis=1) / settings.cells).astype(np.float32)
        scale[rows] = _KEPT * scale[rows] + (1 - _KEPT) * found
        credit[rows] -= 1
        parameters = placed(tower, state.parameters, target, known[ITEM_COUNTS] > 0, content)
        statistics = {**known, SCALE: scale, CREDIT: credit}
        return replace(state, round_number=state.round_number + 1, parameters=parameters, statistics=statistics)

    return Algorithm(broadcast, client_update, ServerOptimizer(init, apply))


def symmetric(upper: Float32Array, dim: int) -> Float32Array:
    """The symmetric matrix with that upper triangle, row after row; shape (dim, dim).

    >>> symmetric(np.array([1, 2, 3], np.float32), 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    matrix = np.zeros((dim, dim), np.float32)
    matrix[np.triu_indices(dim)] = upper
    return matrix + np.triu(matrix, 1).T


def _surveyed(
    update: ClientUpdate, clients: int, tower: ItemTower, settings: CompressionSettings
) -> Mapping[str, Float32Array]:
    """What the server remembers after the survey."""
    totals = scaled_to_population(update, clients)
    energy = max(float(np.trace(symmetric(totals[GRAM], tower.dim))), float(np.finfo(np.float32).tiny))
    counts = np.asarray(totals[ITEM_COUNTS], np.float32)
    return {
        ITEM_COUNTS: counts,
        SHARE: totals[ENERGY] / np.float32(energy),
        WEIGHT: update.sums[ACTIVITY] / np.float32(update.clients),
        SCALE: update.sums[LENGTHS] / np.float32(settings.cells * np.sqrt(tower.dim)),
        CREDIT: first_credit(tower.items) + turns_a_round(counts, settings.rows),
    }


def _codes(state: ServerState, settings: CompressionSettings) -> Uint8Array:
    """The codes of the steps that the next round asks for."""
    if state.round_number == 0:
        return np.empty(0, np.uint8)
    scale, credit = state.statistics[SCALE], state.statistics[CREDIT]
    rows = asked_rows(credit, settings.rows)
    codes = np.zeros(len(scale), np.uint8)
    codes[rows] = step_codes(scale[rows] * np.float32(settings.spread / settings.levels))
    return codes
