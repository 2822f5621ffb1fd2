"""FedAdam's and FedYogi's steps: adaptive rates on the server (Reddi et al. 2021, "Adaptive federated optimization").

Algorithm 2 of the paper, with Δ the clients' mean of (local minus global), entry by entry:

    m ← β₁ m + (1 − β₁) Δ
    v ← β₂ v + (1 − β₂) Δ²                      FedAdam
    v ← v − (1 − β₂) Δ² sign(v − Δ²)            FedYogi
    θ ← θ + η m / (√v + τ)

m is 0 at first and v is τ², the least that the paper allows. There is no bias correction, as there is none in the
paper. Yogi's v rises at once with Δ² and falls slowly, where Adam's forgets a large Δ² geometrically.
"""

from collections.abc import Callable

import numpy as np

from feature_store.arrays import Float32Array
from training.delta_step import DeltaStep
from training.named_arrays import NamedArrays, mapped, prefixed, under, zeros
from training.server_settings import FedAdamServer, FedYogiServer

MEAN, SQUARE = "mean", "square"


def fedadam(settings: FedAdamServer) -> DeltaStep:
    """The step with v as in Adam; it remembers m and v."""
    kept = np.float32(settings.beta2)
    return _adaptive(settings, lambda v, delta: kept * v + (1 - kept) * delta * delta)


def fedyogi(settings: FedYogiServer) -> DeltaStep:
    """The step with v as in Yogi; it remembers m and v."""
    share = np.float32(1 - settings.beta2)

    def square(v: Float32Array, delta: Float32Array) -> Float32Array:
        new: Float32Array = v - share * delta * delta * np.sign(v - delta * delta)
        return new

    return _adaptive(settings, square)


def _adaptive(
    settings: FedAdamServer | FedYogiServer, next_square: Callable[[Float32Array, Float32Array], Float32Array]
) -> DeltaStep:
    rate, kept, tau = (np.float32(value) for value in (settings.learning_rate, settings.beta1, settings.tau))

    def init(parameters: NamedArrays) -> NamedArrays:
        squares = mapped(lambda x: np.full_like(x, tau * tau), parameters)
        return prefixed(MEAN, zeros(parameters)) | prefixed(SQUARE, squares)

    def apply(parameters: NamedArrays, delta: NamedArrays, memory: NamedArrays) -> tuple[NamedArrays, NamedArrays]:
        mean = mapped(lambda m, d: kept * m + (1 - kept) * d, under(MEAN, memory), delta)
        square = mapped(next_square, under(SQUARE, memory), delta)
        moved = mapped(lambda x, m, v: x + rate * m / (np.sqrt(v) + tau), parameters, mean, square)
        return moved, prefixed(MEAN, mean) | prefixed(SQUARE, square)

    return DeltaStep(init, apply)
