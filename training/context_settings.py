"""The settings of the query tower's context."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_store.query_tower import ContextFeature, ContextValue

HOURS, WEEKDAYS = 24, 7


class ContextSettings(BaseModel):
    """What shifts a user embedding at the time of a request, and how that is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[ContextFeature, ...] = Field(default=(), description="none leaves the embedding as it is")
    devices: tuple[str, ...] = Field(default=(), description="the classes of devices; known before anybody is asked")
    rounds: int = Field(default=3, ge=1, le=100, description="in each of which every client sends once")
    regularization: float = Field(default=10.0, gt=0, description="ρ, of the ridge; holds down rare values")
    activity_exponent: float = Field(default=0.3, ge=0, le=1, description="x: a client of n items counts by n^(−x)")
    weight: float = Field(default=1.0, ge=0, le=10, description="of the vectors once found; 1 leaves them as they are")
    utc_offset_hours: float = Field(
        default=0.0, ge=-14, le=14, description="of the clients' clocks, where timestamps are all that is known"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> "ContextSettings":
        if len({*self.features}) < len(self.features) or len({*self.devices}) < len(self.devices):
            raise ValueError("each feature of the context and each class of devices is named once")
        if ("device" in self.features) != bool(self.devices):
            raise ValueError("the feature device needs classes of devices, and those need the feature")
        return self

    def values(self, verticals: tuple[str, ...]) -> tuple[ContextValue, ...]:
        """All values that get a vector. They follow from the settings and the catalogue, and from nobody's data."""
        named: dict[Literal["hour", "weekday", "device", "vertical"], list[str]] = {
            "hour": [str(hour) for hour in range(HOURS)],
            "weekday": [str(day) for day in range(WEEKDAYS)],
            "device": list(self.devices),
            "vertical": list(verticals),
        }
        return tuple(ContextValue(feature, value) for feature in self.features for value in named[feature])
