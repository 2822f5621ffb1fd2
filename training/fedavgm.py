"""FedAvgM's step: momentum on the server (Hsu et al. 2019, "Measuring the effects of non-identical data", section 4.3).

    v_{t+1} = β v_t + Δ,      θ_{t+1} = θ_t + α_g v_{t+1}

with Δ the clients' mean of (local minus global); the paper writes it with the opposite sign and subtracts. A run
of equal Δ moves 1/(1 − β) times as far a round as it would without momentum.
"""

import numpy as np

from training.delta_step import DeltaStep
from training.named_arrays import NamedArrays, mapped, prefixed, under, zeros
from training.server_settings import FedAvgMServer

VELOCITY = "velocity"


def fedavgm(settings: FedAvgMServer) -> DeltaStep:
    """The step; it remembers the velocity v, at first 0."""
    rate, momentum = np.float32(settings.learning_rate), np.float32(settings.momentum)

    def init(parameters: NamedArrays) -> NamedArrays:
        return prefixed(VELOCITY, zeros(parameters))

    def apply(parameters: NamedArrays, delta: NamedArrays, memory: NamedArrays) -> tuple[NamedArrays, NamedArrays]:
        velocity = mapped(lambda v, d: momentum * v + d, under(VELOCITY, memory), delta)
        return mapped(lambda x, v: x + rate * v, parameters, velocity), prefixed(VELOCITY, velocity)

    return DeltaStep(init, apply)
