"""Attacks on training: how malicious people, devices and cells bring one item before everybody.

    fillers   people of an honest cell, each with the target and popular items in the history, the bandwagon attack
              (Mobasher et al. 2007, "Toward trustworthy recommender systems", section 3.2)
    chosen    people of an honest cell who choose their histories anew in each round, knowing the item vectors: the
              update of a history is what it is, but the history is the one whose update pushes the target furthest
    device    devices that send what they like: the gradient that raises the target for people who are not shown it yet
              (Rong et al. 2022, "FedRecAttack", section 4), preconditioned as the server will, and not further than to
              a vector that serves the attacker best (model replacement: Bagdasaryan et al. 2020, section 3.2)
    cell      one cell that sends such a sum, as large as the layout of the round lets through

Attackers know the item vectors, the settings and the bounds, and the histories of as many honest people as they are.
From these they guess everybody's embeddings. They are more capable than the published ones, who know 1 to 5 % of all
meetings: what does not work here works nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.fold_in import FoldInSettings, fold_in_many
from training.activity import activity_roots
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.evaluation import top_rows
from training.user_bound import UserBound

FILLERS = 20
_LONGEST = 40  # items of a chosen history
_SHOWN = 10

Direction: TypeAlias = Literal["newton", "system"]
"""Where a device moves the target's vector: newton, to what an exact step of the server would make of an equal push for
everybody; system, to what people who fold in with the target unmet score highest, the mean right side of their systems.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What attackers know.

    target: row of the item to promote.
    known: histories of some honest people.
    people: clients of the population.
    weights: α and λ of the loss.
    exponent: x of the clients' weights.
    bound: on what one client adds.
    """

    target: int
    known: Sequence[Int32Array]
    people: int
    weights: FoldInSettings
    exponent: float
    bound: UserBound


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What attackers make of it in a round.

    curvature: about what the server will divide the target's gradient by, in sums over everybody, (dim, dim).
    wanting: mean embedding of the known people who are not shown the target, or of all where all are, (dim,).
    system: mean right side Xᵀ1 of their fold-in, (dim,).
    """

    curvature: Float64Array
    wanting: Float64Array
    system: Float64Array

    def toward(self, direction: Direction) -> Float64Array:
        """A direction of length 1 in which the target is to go."""
        along = np.linalg.solve(self.curvature, self.wanting) if direction == "newton" else self.system
        return np.asarray(along / max(float(np.linalg.norm(along)), float(np.finfo(np.float64).tiny)), np.float64)

    def push(self, direction: Direction) -> Float64Array:
        """What a gradient of the target's, times −1, is worth: its product with this."""
        along = self.wanting if direction == "newton" else self.system
        return np.asarray(np.linalg.solve(self.curvature, along), np.float64)


def guess(vectors: Float32Array, knowledge: Knowledge) -> Guess:
    """What the known people say of everybody, at these item vectors."""
    gram = vectors.T @ vectors
    embeddings = fold_in_many(vectors, gram, list(knowledge.known), knowledge.weights)
    scores = embeddings @ vectors.T
    for person, history in enumerate(knowledge.known):
        scores[person, history] = -np.inf
    last = np.take_along_axis(scores, top_rows(scores, _SHOWN)[:, -1:], axis=1)[:, 0]
    unmet = np.array([knowledge.target not in history for history in knowledge.known])
    wanting = unmet & (scores[:, knowledge.target] <= last)
    wanting = wanting if wanting.any() else np.ones(len(wanting), np.bool_)

    shares = np.square(activity_roots(np.array([len(history) for history in knowledge.known]), knowledge.exponent))
    scale = knowledge.people / len(knowledge.known)
    user_gram = scale * (embeddings * shares[:, None]).T @ embeddings
    ridge = knowledge.weights.regularization * shares.mean() * knowledge.weights.alpha * knowledge.people
    curvature = knowledge.weights.alpha * user_gram + ridge * np.eye(vectors.shape[1])
    right = np.array([vectors[history].sum(axis=0) for history in knowledge.known])
    return Guess(
        curvature.astype(np.float64),
        embeddings[wanting].mean(axis=0).astype(np.float64),
        right[wanting].mean(axis=0).astype(np.float64),
    )


def with_fillers(target: int, counts: Int64Array, people: int, random: np.random.Generator) -> list[Int32Array]:
    """Histories of that many people: the target, and items drawn by how many have met them.

    counts: people who have met each item, shape (items,).
    """
    among = np.where(np.arange(len(counts)) == target, 0, counts)
    drawn = min(FILLERS, int(np.count_nonzero(among)))
    fillers = (random.choice(len(counts), drawn, replace=False, p=among / among.sum()) for _ in range(people))
    return [np.append(chosen, target).astype(np.int32) for chosen in fillers]


def chosen_history(vectors: Float32Array, knowledge: Knowledge, found: Guess, direction: Direction) -> Int32Array:
    """The target and the items beside it that make its push go furthest, each added while it helps.

    With M the system of a history and b its right side, one item q more gives p = p₀ + M⁻¹q (1 − q·p₀)/(1 + qᵀM⁻¹q)
    (Sherman and Morrison). What it is worth is w (1 − p·q_t) p times `Guess.push`, less where the client is above the
    bound.
    """
    exact = vectors.astype(np.float64)
    gram, items = exact.T @ exact, len(exact)
    push = found.push(direction)
    met, best = [knowledge.target], -np.inf
    while len(met) < min(_LONGEST, items):
        alpha, ridge = knowledge.weights.alpha, knowledge.weights.regularization
        system = exact[met].T @ exact[met] + alpha * gram
        system += ridge * (len(met) + 1 + alpha * items) * np.eye(exact.shape[1])
        before = np.linalg.solve(system, exact[met].sum(axis=0))
        solved = np.linalg.solve(system, exact.T).T
        embeddings = before + solved * ((1 - exact @ before) / (1 + np.vecdot(solved, exact)))[:, None]
        residuals = 1 - embeddings @ exact[knowledge.target]
        weight = (len(met) + 1.0) ** -knowledge.exponent
        lengths = np.linalg.norm(embeddings, axis=1)
        rows = weight * lengths * np.maximum(np.abs(residuals), lengths)
        gains = weight * residuals * (embeddings @ push) * knowledge.bound.share(rows, np.zeros(items))
        gains[met] = -np.inf
        if gains.max() <= best:
            break
        met.append(int(gains.argmax()))
        best = float(gains.max())
    return np.array(met, np.int32)


def sent_by_device(
    vectors: Float32Array, knowledge: Knowledge, found: Guess, devices: int, length: float, direction: Direction
) -> ClientUpdate:
    """What each of that many devices sends, so that all of them move the target to a vector of that length.

    Nothing of curvature or energy is in it, as both would hold the target back; the item is claimed to be met.
    """
    gradient = np.zeros_like(vectors)
    goal = length * found.toward(direction)
    gradient[knowledge.target] = found.curvature @ (vectors[knowledge.target] - goal) / devices
    counts = np.zeros(len(vectors), np.float32)
    counts[knowledge.target] = 1
    dim = vectors.shape[1]
    sums = {
        "item_gradient": gradient,
        "user_gram": np.zeros((dim, dim), np.float32),
        "item_energy": np.zeros(len(vectors), np.float32),
        ITEM_COUNTS: counts,
        ACTIVITY: np.zeros(1, np.float32),
    }
    return ClientUpdate(sums, 0.0, 1)


def sent_by_cell(update: ClientUpdate, clients: int, most: float) -> ClientUpdate:
    """The sum that a cell of that many clients sends, where each of them would send the update.

    most: no number of the gradient may be larger; where one would be, all of its rows are scaled down.
    """
    together = times(update, clients)
    gradient = together.sums["item_gradient"]
    share = np.float32(min(1.0, most / max(float(np.abs(gradient).max()), float(np.finfo(np.float32).tiny))))
    return ClientUpdate({**together.sums, "item_gradient": gradient * share}, together.loss, clients)


def times(update: ClientUpdate, clients: int) -> ClientUpdate:
    """The sum over that many clients who all send the same."""
    sums = {name: array * np.float32(clients) for name, array in update.sums.items()}
    return ClientUpdate(sums, update.loss * clients, update.clients * clients)
