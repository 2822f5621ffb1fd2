"""The settings of compressed rounds: how coarse, how many rows, and of how many cells a sum is at most."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST_STEP = 1.5


class CompressionSettings(BaseModel):
    """What cells send of a gradient, and in which steps the server goes.

    The defaults send a sixteenth of the bytes. `levels` 42 with `rows` 1 is a fourth, for three cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: int = Field(
        default=2, ge=1, le=1000, description="l: a cell's number of a gradient is rounded to one of −l…l steps"
    )
    rows: float = Field(default=0.45, gt=0, le=1, description="share of the items whose rows a round asks for")
    spread: float = Field(
        default=2.0, gt=0, le=10, description="the largest number of a row, in its root mean square; above it is cut"
    )
    cells: int = Field(default=3, ge=1, le=1024, description="of which a sum is made at the most")
    table: Literal["int8", "float32"] = Field(default="int8", description="how item vectors are sent to the cells")
    learning_rate: float = Field(default=1.0, gt=0, le=2, description="η_0; 1 is a full Newton step")
    decay_rounds: float = Field(default=20.0, gt=0, description="τ in η_t = η_0 / (1 + t/τ)")

    @model_validator(mode="after")
    def _rounds_to_something(self) -> "CompressionSettings":
        if self.spread > LONGEST_STEP * self.levels:
            raise ValueError(
                f"steps of more than {LONGEST_STEP} times a row's root mean square round most of it to nothing; got "
                f"spread {self.spread} over levels {self.levels}"
            )
        return self
