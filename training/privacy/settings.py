"""The settings of private training."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.privacy.ledger import Budget


class PrivacySettings(BaseModel):
    """How private, and how the noise is shared out.

    Nothing in here may be chosen by looking at the people's data, the validation part included: it would be a release
    that no ledger knows of. The defaults are from public data (docs/privacy.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epsilon: float = Field(gt=0, le=100, description="ε of this run, for a person's whole history")
    delta: float = Field(gt=0, lt=1, description="δ; well below one over the number of people")
    budget: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="the ε that all runs on these people together may not pass; by default this run's",
    )
    counts_share: float = Field(
        default=0.04, gt=0, lt=1, description="share of the run's cost μ² that the item counts take"
    )
    refinement_share: float = Field(
        default=0.3, ge=0, le=0.9, description="share of the rest of it for the refinement; 0 leaves that round out"
    )
    items: int | None = Field(
        default=None,
        ge=2,
        le=10_000,
        description="m, among how many of the most met items vectors are found; by default 0.13 people / σ",
    )

    @model_validator(mode="after")
    def _fits_the_budget(self) -> "PrivacySettings":
        if self.budget is not None and self.budget < self.epsilon:
            raise ValueError(
                f"one run may not spend more than all may; got epsilon {self.epsilon}, budget {self.budget}"
            )
        return self

    @property
    def all_runs(self) -> Budget:
        """What the ledger holds all runs to."""
        return Budget(epsilon=self.budget or self.epsilon, delta=self.delta)
