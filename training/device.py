"""The device: where the sums of clients are computed, and in which precision."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from feature_store.errors import BadInput


class DeviceSettings(BaseModel):
    """Where a run computes. Read before TensorFlow is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["auto", "cpu", "gpu"] = Field(default="auto", description="auto takes a GPU where there is one")
    xla: bool = Field(default=False, description="compile TensorFlow's program for the device before its first use")
    mixed_precision: bool = Field(
        default=False, description="item vectors in bfloat16 on the client; sums and solves stay in float32"
    )


AUTO = DeviceSettings()
"""A GPU where there is one, and float32."""


class Placement(NamedTuple):
    """The settings as this machine can follow them.

    name: TensorFlow's of the device, or empty: then `training.streaming` computes, on the CPU and without TensorFlow.
    xla: compile.
    mixed_precision: see `DeviceSettings`.
    """

    name: str = ""
    xla: bool = False
    mixed_precision: bool = False


STREAMED = Placement()


def place(settings: DeviceSettings) -> Placement:
    """Where to compute on this machine.

    On a CPU TensorFlow's program comes in for XLA and for mixed precision alone, as `training.streaming` is faster.

    Raises:
        BadInput: a GPU is asked for and TensorFlow sees none.
    """
    from training.tf import tf  # noqa: PLC0415 - the settings above are read by commands before TensorFlow starts

    there = bool(tf.config.list_physical_devices("GPU"))
    if settings.device == "gpu" and not there:
        raise BadInput(
            "a GPU is asked for, and TensorFlow sees none on this machine; --device cpu or auto goes without, "
            "and a driver that nvidia-smi shows may lack TensorFlow's CUDA libraries (tensorflow[and-cuda])"
        )
    on_gpu = there and settings.device != "cpu"
    if not (on_gpu or settings.xla or settings.mixed_precision):
        return STREAMED
    # TF32 rounds what a float32 product takes in to 10 bits. Only vectors that are rounded further already may be.
    tf.config.experimental.enable_tensor_float_32_execution(settings.mixed_precision)
    return Placement("/GPU:0" if on_gpu else "/CPU:0", settings.xla, settings.mixed_precision)
