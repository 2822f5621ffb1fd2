"""The settings of the item tower: which features it is told of, and how its content part is fitted."""

from pydantic import BaseModel, ConfigDict, Field

STATIC_ENCODER = "training.text_static:static_encoder"


class TowerSettings(BaseModel):
    """What is inside the tower, besides the id embedding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_encoder: str | None = Field(
        default=STATIC_ENCODER, description="where titles are encoded, as module:callable; none leaves titles out"
    )
    text_width: int = Field(
        default=0, ge=0, description="units of a hidden layer between encoded title and item vector; 0 has none"
    )
    buckets: int = Field(default=12, ge=0, description="ranges of about as many items each that a number falls into")
    crosses: tuple[tuple[str, str], ...] = Field(
        default=(), description="pairs of columns of names whose combinations are names of their own"
    )
    content_regularization: float = Field(
        default=10.0, gt=0, description="ρ of the content part: a feature of fewer items than that is held short"
    )
    content_iterations: int = Field(
        default=4, ge=1, description="conjugate gradient iterations of the content part in a round"
    )


DEFAULT = TowerSettings()
