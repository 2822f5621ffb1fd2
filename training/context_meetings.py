"""Meetings: when, and on what class of device, each item of a split was met; the context that training learns from.

A history says what was met. Beside it, entry by entry, stand the time and the device of the meeting; the client reads
the hour and the weekday off its own clock (`training.context_settings.ContextSettings.utc_offset_hours`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from training.interactions import Interactions


@dataclass(frozen=True, slots=True, eq=False)
class Meetings:
    """Of each entry of a part, in the order of its rows.

    times: seconds since 1970 (UTC), float64, shape (entries,).
    device_names: the classes of devices.
    devices: rows of device_names, int32, shape (entries,); -1 where the device is not known.
    """

    times: Float64Array
    device_names: tuple[str, ...]
    devices: Int32Array

    def __post_init__(self) -> None:
        if len(self.times) != len(self.devices):
            raise BadInput(f"meetings have a time and a device each; got {len(self.times)} and {len(self.devices)}")

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def of(cls, interactions: Interactions, lines: Int64Array) -> "Meetings":
        """Those of some interactions, by their places among all."""
        told = interactions.devices
        devices = np.full(len(lines), -1, np.int32) if told is None else told[lines]
        return cls(interactions.timestamps[lines], interactions.device_names, devices)


class SplitMeetings(NamedTuple):
    """Of the three parts of a split."""

    train: Meetings
    valid: Meetings
    test: Meetings
