"""Noised vectors: what local differential privacy costs in the quality of lists, by ε, mechanism and directions told.

Item vectors by alternating least squares on everybody's train items, which minimises the loss of
`feature_store.fold_in` on both sides: a good model in seconds, without federation. People are folded in on them, their
vectors noised as a device does, and all items ranked by the product with what would be sent.

Beside what is chosen by itself: without noise; what is popular, which needs no vector; and the mechanism on all
numbers of a vector, without a projection. Nothing is chosen here: the choices of `feature_store.vector_noise` were
made on validation parts, and these are test parts.
"""

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any, get_args

import numpy as np

from benchmarks.machine import provenance
from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings, fold_in_many
from feature_store.vector_noise import NoiseMechanism, NoiseSettings, VectorNoise, vector_noise
from training.evaluation import Scorer, evaluate
from training.histories import Histories
from training.split import Split

EPSILONS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_ROUNDS = 12  # of least squares; the figures do not move any more


def measure_noise(
    split: Split,
    dim: int,
    fold_in: FoldInSettings,
    epsilons: Sequence[float],
    draws: int,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """The table of ε and NDCG@20 as one JSON object.

    Args:
        split: the data; its test part judges, as `split.judged` has it.
        dim: of the item vectors.
        fold_in: the weights of the loss.
        epsilons: each above 0 and at most 64.
        draws: how often everybody is noised; the spread (standard deviation; 0 for one) is over them.
        report: is told what is being done.
    """
    judged = split.judged
    items = len(judged.vocabulary)
    report("least squares")
    vectors = trained(judged.train, items, dim, fold_in)
    gram = vectors.T @ vectors
    people = fold_in_many(vectors, gram, list(judged.train), fold_in)
    counts = np.bincount(judged.train.rows, minlength=items).astype(np.float32)
    popular = vectors.T @ (counts / np.float32(len(judged.train)))

    def figures_of(score: Scorer) -> dict[str, float]:
        quality = evaluate(score, items, judged.test, judged.met_before_test)
        return {name: quality.figures()[name] for name in ("recall@20", "ndcg@20")}

    def noised(settings: NoiseSettings, rank: int | None) -> dict[str, Any]:
        noise = vector_noise(settings, "measured", gram, popular, rank)
        found = [figures_of(by_vector(noised_people(noise, people), vectors)) for _ in range(draws)]
        return {
            "directions": noise.basis.shape[1],
            **{name: _spread([one[name] for one in found]) for name in found[0]},
        }

    rows = []
    for epsilon in epsilons:
        for mechanism in get_args(NoiseMechanism):
            report(f"epsilon {epsilon:g}, {mechanism}")
            settings = NoiseSettings(mechanism, epsilon)
            rows.append(
                {
                    "epsilon": epsilon,
                    "mechanism": mechanism,
                    "chosen": noised(settings, None),
                    "all_numbers": noised(settings, dim),
                }
            )
    return {
        "benchmark": "noise",
        **provenance(),
        "data": {"users": len(judged.user_ids), "items": items, "dim": dim},
        "settings": {"alpha": fold_in.alpha, "regularization": fold_in.regularization, "draws": draws},
        "none": figures_of(by_vector(people, vectors)),
        "popular": figures_of(lambda clients: np.broadcast_to(counts, (len(clients), items))),
        "noised": rows,
    }


def trained(met: Histories, items: int, dim: int, settings: FoldInSettings) -> Float32Array:
    """Item vectors by alternating least squares (Hu, Koren and Volinsky 2008), shape (items, dim)."""
    histories = list(met)
    audiences = audiences_of(met, items)
    vectors = np.random.default_rng([1, items, dim]).normal(scale=0.1, size=(items, dim)).astype(np.float32)
    for _ in range(_ROUNDS):
        people = fold_in_many(vectors, vectors.T @ vectors, histories, settings)
        vectors = fold_in_many(people, people.T @ people, audiences, settings)
    return vectors


def audiences_of(met: Histories, items: int) -> list[Int32Array]:
    """The people who met each item, ascending."""
    people = np.repeat(np.arange(len(met), dtype=np.int32), met.lengths)[np.argsort(met.rows, kind="stable")]
    return np.split(people, np.cumsum(np.bincount(met.rows, minlength=items))[:-1])


def noised_people(noise: VectorNoise, people: Float32Array) -> Float32Array:
    """What each of them would send, shape (people, dim)."""
    return np.stack([noise.told(vector) for vector in people])


def by_vector(people: Float32Array, items: Float32Array) -> Scorer:
    """Scores as the products of vectors."""
    return lambda clients: people[clients] @ items.T


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": mean(values), "spread": stdev(values) if len(values) > 1 else 0.0}
