"""The centralised peers: recommenders that see everybody's data in one place.

Each gives a scorer after it was fitted to the train part. What a peer can be tuned by, it is: over its grid, on
the validation part, as the figures of an untuned baseline say nothing (Dacrema et al. 2019).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from feature_store.arrays import Float32Array, Int64Array
from training.evaluation import Quality, Scorer, evaluate
from training.histories import Histories
from training.split import Split

Settings = dict[str, float]
MatrixFit = Callable[[scipy.sparse.csr_matrix, Settings, int], Scorer]
Fit = Callable[[Split, Settings, int], Scorer]


class Peer(NamedTuple):
    """A recommender to compare with.

    name: what tables call it.
    grid: the settings to choose from on valid.
    fit: from the train part of a split, settings and a seed to a scorer.
    most_items: the largest catalogue it can take.
    """

    name: str
    grid: Sequence[Settings]
    fit: Fit
    most_items: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class PeerResult:
    """Test quality of a peer with the settings that were best on validation, for each seed."""

    name: str
    settings: Settings
    qualities: tuple[Quality, ...]


def popularity(train: Any, settings: Settings, seed: int) -> Scorer:
    """Everybody is recommended what most people have met."""
    del settings, seed
    counts = np.asarray(train.sum(axis=0), dtype=np.float32).ravel()
    return lambda clients: np.broadcast_to(counts, (len(clients), len(counts)))


def ease(train: Any, settings: Settings, seed: int) -> Scorer:
    """EASE (Steck 2019, equation 8): item-item regression with zero diagonal, in closed form."""
    del seed
    gram = (train.T @ train).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += settings["regularization"]
    inverse = np.linalg.inv(gram)
    weights = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)

    def score(clients: Int64Array) -> Float32Array:
        scores: Float32Array = np.asarray(train[clients] @ weights)
        return scores

    return score


def als(dim: int, iterations: int = 15) -> MatrixFit:
    """Implicit-feedback ALS (Hu, Koren and Volinsky 2008) as the library `implicit` has it, at the same dim."""

    def fit(train: Any, settings: Settings, seed: int) -> Scorer:
        with threadpool_limits(1, "blas"):  # implicit brings threads of its own, and asks for this
            model = AlternatingLeastSquares(
                factors=dim,
                regularization=settings["regularization"],
                alpha=settings["alpha"],
                iterations=iterations,
                random_state=seed,
            )
            model.fit(train, show_progress=False)

        def score(clients: Int64Array) -> Float32Array:
            scores: Float32Array = model.user_factors[clients] @ model.item_factors.T
            return scores

        return score

    return fit


def peers(dim: int) -> list[Peer]:
    """The centralised peers, their grids around what is best on the data sets of docs/quality.md."""
    regularizations = [{"regularization": r} for r in (200.0, 500.0, 1000.0, 2000.0)]
    weights = [
        {"alpha": a, "regularization": r} for a in (2.0, 5.0, 10.0, 20.0, 30.0) for r in (30.0, 60.0, 100.0, 150.0)
    ]
    return [
        Peer("popularity", [{}], of_matrix(popularity)),
        Peer(
            "ease", regularizations, of_matrix(ease), most_items=10_000
        ),  # it inverts an items x items matrix in float64
        Peer("als", weights, of_matrix(als(dim))),
    ]


def quick_peers(dim: int) -> list[Peer]:
    """ALS with a quarter of its grid, and popularity: seconds instead of minutes."""
    weights = [{"alpha": a, "regularization": r} for a in (5.0, 10.0) for r in (30.0, 60.0)]
    return [Peer("popularity", [{}], of_matrix(popularity)), Peer("als", weights, of_matrix(als(dim)))]


def of_matrix(fit: MatrixFit) -> Fit:
    """The fit that knows of a split who met what in the train part, and nothing else."""
    return lambda split, settings, seed: fit(as_matrix(split.train, len(split.vocabulary)), settings, seed)


def as_matrix(train: Histories, items: int) -> Any:
    """The train part as a sparse matrix of ones, shape (clients, items)."""
    ones = np.ones(len(train.rows), dtype=np.float32)
    return scipy.sparse.csr_matrix((ones, train.rows, train.offsets), shape=(len(train), items))


def judge(peer: Peer, split: Split, seeds: Sequence[int]) -> PeerResult:
    """Tune the peer on valid with the first seed, then fit it with each seed and judge it on test.

    Like the federated model it is fitted to train alone, and never to valid; then to the train part of `split.judged`.
    """
    items, final = len(split.vocabulary), split.judged

    def ndcg_on_valid(settings: Settings) -> float:
        return evaluate(peer.fit(split, settings, seeds[0]), items, split.valid, split.met_before_valid).ndcg

    best = max(peer.grid, key=ndcg_on_valid) if len(peer.grid) > 1 else peer.grid[0]
    qualities = tuple(evaluate(peer.fit(final, best, seed), items, final.test, final.met_before_test) for seed in seeds)
    return PeerResult(peer.name, best, qualities)
