"""The names of the losses, apart from what they are: settings are read before TensorFlow is."""

from typing import Literal, TypeAlias

LossName: TypeAlias = Literal["quadratic", "softmax", "sampled_softmax", "logistic", "sampled_logistic"]
