"""Vector noise: which part of a user embedding is told under ε-local differential privacy, and what is made of it.

In the order of the steps; the person's p enters at the third alone:

    1. centre   c = τ μ/|μ|, where μ solves (QᵀQ + ridge) μ = Qᵀ shares: the vector whose scores are most like what is
                popular, about the mean of all embeddings. Spending ε on what all have alike would be a waste
    2. basis    B: the r directions in which item vectors are longest (eigenvectors of QᵀQ). Noise falls on r numbers in
                place of dim; the less ε, the fewer they are
    3. u        the direction of Bᵀ(p/|p| − c), a unit vector of r numbers
    4. z        u as an ε-LDP mechanism tells it: `feature_store.privunit_g` or `feature_store.subset_selection`
    5. sent     |μ|/τ · (c + κ B z), with κ the mechanism's mean of ⟨z, u⟩: what is uncertain counts less

1, 2 and 5 look at nothing but the items, which are public and the same for everybody, so ε is spent at 4 alone. No more
is spent if whoever made the items meant ill: 4 holds for any two u. Noise after a projection is ProjUnit of Asi et al.
2023, "Fast optimal locally private mean estimation via random projections"; here the items say what to project on.

The length of p is not told. The order of scores does not depend on it, nor does anything that serving mixes by order,
and a vector without a history is not blended. It counts where a query tower adds the vectors of a context to p; there
all noised vectors have about the length |μ|/τ, which is near that of an embedding from many items.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from feature_store.arrays import Float32Array, Float64Array
from feature_store.blend import BlendSettings
from feature_store.checkpoint import Checkpoint
from feature_store.errors import BadInput
from feature_store.item_bundle import ItemBundle
from feature_store.privunit_g import PrivUnitG, best_cap, unit
from feature_store.subset_selection import SubsetSelection, subset_selection

NoiseMechanism: TypeAlias = Literal["privunit-g", "subset-selection"]

LARGEST_EPSILON = 64.0
"""Beyond, nothing worth the name is protected."""

RANKS = (4, 8, 16, 32)
"""From which r is chosen."""

_TAU = 0.4  # |mean of p/|p||; of .2, .4 and .6 the best on the validation part of MovieLens-100K
_MOST_OF: Mapping[NoiseMechanism, int] = {"privunit-g": 32, "subset-selection": 16}  # its 2^14 directions tell no more
_RIDGE = 1e-3  # of the mean eigenvalue
_BLOCK = 1 << 14  # item vectors of a bundle that are unpacked at a time


class NoiseSettings(NamedTuple):
    """The mechanism and its ε."""

    mechanism: NoiseMechanism
    epsilon: float


@dataclass(frozen=True, slots=True, eq=False)
class VectorNoise:
    """What noising needs on one checkpoint. All of it is public.

    checkpoint_id: whose items the vectors meet.
    centre: c, shape (dim,).
    basis: B, orthonormal columns, shape (dim, r).
    length: of what is sent, where nothing is uncertain.
    """

    settings: NoiseSettings
    checkpoint_id: str
    centre: Float64Array
    basis: Float64Array
    length: float
    mechanism: PrivUnitG | SubsetSelection

    def told(self, vector: Float32Array) -> Float32Array:
        """The steps 3 to 5 for p, finite, shape (dim,): each call spends ε. Nobody's vector is refused, nor is zero."""
        length = float(np.linalg.norm(vector.astype(np.float64)))
        towards = vector / length if length > 0 else np.zeros(len(vector))
        drawn = self.mechanism.draw(unit(self.basis.T @ (towards - self.centre)))
        sent = self.length * (self.centre + self.mechanism.alignment * (self.basis @ drawn))
        return sent.astype(np.float32)


def vector_noise(
    settings: NoiseSettings,
    checkpoint_id: str,
    item_gram: Float32Array,
    popular: Float32Array,
    rank: int | None = None,
) -> VectorNoise:
    """Get ready to noise vectors of a checkpoint.

    Args:
        settings: an ε above 0, at most `LARGEST_EPSILON`.
        checkpoint_id: of the items.
        item_gram: QᵀQ, shape (dim, dim).
        popular: Qᵀ s, shape (dim,), where s_i is the share of people who met item i.
        rank: r, from 1 to dim; by default `rank_for`.

    Raises:
        BadInput: there is no such mechanism, ε or r, or the arrays are not of one dim.
    """
    mechanism, epsilon = settings
    if mechanism not in get_args(NoiseMechanism) or not 0 < epsilon <= LARGEST_EPSILON:
        raise BadInput(
            f"noise is {' or '.join(get_args(NoiseMechanism))} of an epsilon above 0, at most {LARGEST_EPSILON:g}; "
            f"got {mechanism!r} of {epsilon}"
        )
    dim = len(popular)
    if item_gram.shape != (dim, dim):
        raise BadInput(
            f"popular has {dim} numbers, so that the gram has the shape ({dim}, {dim}); got {item_gram.shape}"
        )
    if rank is not None and not 1 <= rank <= dim:
        raise BadInput(f"of {dim} numbers 1 to {dim} directions can be told; got {rank}")
    gram = item_gram.astype(np.float64)
    vectors = np.linalg.eigh(gram).eigenvectors  # by rising eigenvalue
    rank = rank or rank_for(settings, dim)
    ridge = (_RIDGE * np.trace(gram) / dim or 1.0) * np.eye(dim)
    mean = np.linalg.solve(gram + ridge, popular.astype(np.float64))
    size = float(np.linalg.norm(mean))
    return VectorNoise(
        settings,
        checkpoint_id,
        centre=_TAU * mean / size if size > 0 else mean,
        basis=vectors[:, ::-1][:, :rank],
        length=size / _TAU if size > 0 else 1.0,
        mechanism=_prepared(settings, rank),
    )


def noise_of_bundle(settings: NoiseSettings, bundle: ItemBundle) -> VectorNoise:
    """As `vector_noise` has it, for the items that a device holds."""
    facts, shares = bundle.facts, shares_met(bundle.item_counts, bundle.facts.blend)
    popular = np.zeros(facts.dim, np.float32)
    for start in range(0, facts.items, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, facts.items), dtype=np.int32)
        popular += shares[rows] @ bundle.vectors.rows(rows)
    return vector_noise(settings, facts.checkpoint_id, bundle.item_gram, popular)


def noise_of_checkpoint(settings: NoiseSettings, checkpoint: Checkpoint) -> VectorNoise:
    """As `vector_noise` has it, for a program that reads the registry."""
    manifest = checkpoint.manifest
    popular = checkpoint.item_vectors.T @ shares_met(checkpoint.item_counts, manifest.blend)
    return vector_noise(settings, manifest.checkpoint_id, checkpoint.item_gram, popular)


def shares_met(item_counts: Float32Array, blend: BlendSettings) -> Float32Array:
    """The share of people who met each item, shape (items,); at most 1 where a checkpoint does not say how many are."""
    shares: Float32Array = item_counts / np.float32(max(blend.people, item_counts.max(initial=0)))
    return shares


def rank_for(settings: NoiseSettings, dim: int) -> int:
    """The r for items of dim numbers: the largest of `RANKS` that is at most ε, else the smallest; at most dim.

    What is told of u grows with ε, and the noise with r. On the validation parts of MovieLens-100K and Last.fm this was
    the best of `RANKS`, or nearly, at each ε from 2 to 32. A choice by the eigenvalues of QᵀQ was worse
    (docs/noised-vector.md).
    """
    reached = min(settings.epsilon, _MOST_OF[settings.mechanism])
    return min(dim, max((rank for rank in RANKS if rank <= reached), default=RANKS[0]))


def _prepared(settings: NoiseSettings, rank: int) -> PrivUnitG | SubsetSelection:
    if settings.mechanism == "privunit-g":
        return PrivUnitG(rank, best_cap(settings.epsilon))
    return subset_selection(rank, settings.epsilon)
