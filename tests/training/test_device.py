"""Where the sums of clients are computed."""

import pytest

from feature_store.errors import BadInput
from training.device import STREAMED, DeviceSettings, Placement, place
from training.tf import tf

HAS_GPU = bool(tf.config.list_physical_devices("GPU"))


def test_the_cpu_streams_unless_compilation_or_mixed_precision_asks_for_tensorflow() -> None:
    assert place(DeviceSettings(device="cpu")) == STREAMED
    assert place(DeviceSettings(device="cpu", xla=True)) == Placement("/CPU:0", xla=True)
    assert place(DeviceSettings(device="cpu", mixed_precision=True)) == Placement("/CPU:0", mixed_precision=True)


def test_float32_products_are_rounded_for_tensor_cores_in_mixed_precision_alone() -> None:
    place(DeviceSettings(device="cpu", mixed_precision=True))
    assert tf.config.experimental.tensor_float_32_execution_enabled()
    place(DeviceSettings(device="cpu", xla=True))
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_missed_by_name_and_auto_goes_without() -> None:
    with pytest.raises(BadInput, match=r"a GPU is asked for, and TensorFlow sees none.*--device cpu or auto"):
        place(DeviceSettings(device="gpu"))
    assert place(DeviceSettings()) == STREAMED


@pytest.mark.skipif(not HAS_GPU, reason="TensorFlow sees no GPU on this machine")
def test_auto_takes_the_gpu() -> None:
    assert place(DeviceSettings()) == place(DeviceSettings(device="gpu")) == Placement("/GPU:0")
