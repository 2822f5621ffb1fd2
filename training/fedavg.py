"""FedAvg's step: to the mean of what the clients trained (McMahan et al. 2017, algorithm 1), or some way there.

Two numbers say how far. The learning rate α_g scales the averaged update, and the mixing rate β then keeps a
share of the old parameters:

    θ_avg = θ_t + α_g Δ,      θ_{t+1} = θ_avg + β (θ_t − θ_avg) = θ_t + (1 − β) α_g Δ

with Δ the clients' mean of (local minus global). So the two compose to one factor, (1 − β) α_g. They are two
because they answer two questions: how much an averaged update is worth, and how fast the model may change.
α_g = 1 and β = 0 is the algorithm of the paper.
"""

import numpy as np

from feature_store.arrays import Float32Array
from training.delta_step import DeltaStep
from training.named_arrays import NamedArrays, mapped
from training.server_settings import FedAvgServer


def fedavg(settings: FedAvgServer) -> DeltaStep:
    """The step; it remembers nothing."""
    rate, mixing = np.float32(settings.learning_rate), np.float32(settings.mixing)

    def init(parameters: NamedArrays) -> NamedArrays:
        del parameters
        return {}

    def moved(old: Float32Array, delta: Float32Array) -> Float32Array:
        averaged = old + rate * delta
        mixed: Float32Array = averaged + mixing * (old - averaged)
        return mixed

    def apply(parameters: NamedArrays, delta: NamedArrays, memory: NamedArrays) -> tuple[NamedArrays, NamedArrays]:
        return mapped(moved, parameters, delta), memory

    return DeltaStep(init, apply)
