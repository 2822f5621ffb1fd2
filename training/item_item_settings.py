"""The settings of the item-item weights."""

from pydantic import BaseModel, ConfigDict, Field


class ItemItemSettings(BaseModel):
    """Whether there are item-item weights beside the two towers, and how they are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int = Field(
        default=0, ge=0, le=10_000, description="m, among how many of the most met items; 0 has no such weights"
    )
    regularization: float = Field(default=300.0, gt=0, description="λ, in people")
    dropout: float = Field(default=0.25, ge=0, description="p: what an item's own count adds to λ")
    activity_exponent: float = Field(default=0.8, ge=0, le=1, description="x: a client of n items counts by n^(−x)")
    weight: float = Field(default=1.0, gt=0, description="of the weights beside the product of the two towers")
