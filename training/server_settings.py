"""The settings of the server: how updates become one, and how it steps along it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FedAvgServer(BaseModel):
    """θ_avg = θ + α_g Δ, and θ ← θ_avg + β (θ − θ_avg)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["fedavg"] = "fedavg"
    learning_rate: float = Field(default=1.0, gt=0, le=100, description="α_g; 1 takes the clients' mean as it is")
    mixing: float = Field(default=0.0, ge=0, lt=1, description="β, share of the old parameters that is kept")


class FedAvgMServer(BaseModel):
    """v ← β v + Δ, and θ ← θ + α_g v."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["fedavgm"] = "fedavgm"
    learning_rate: float = Field(default=1.0, gt=0, le=100, description="α_g")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="β, share of the old velocity that is kept")


class _AdaptiveServer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=0.01, gt=0, le=100, description="η; about how far an entry moves a round")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="share of the old mean of Δ that is kept")
    beta2: float = Field(default=0.99, ge=0, lt=1, description="share of the old mean of Δ² that is kept")
    tau: float = Field(default=1e-3, gt=0, le=1, description="τ, how adaptive: the larger, the nearer to FedAvgM")


class FedAdamServer(_AdaptiveServer):
    """θ ← θ + η m / (√v + τ), with Adam's v."""

    optimizer: Literal["fedadam"] = "fedadam"


class FedYogiServer(_AdaptiveServer):
    """θ ← θ + η m / (√v + τ), with Yogi's v."""

    optimizer: Literal["fedyogi"] = "fedyogi"


ServerSettings: TypeAlias = Annotated[
    FedAvgServer | FedAvgMServer | FedAdamServer | FedYogiServer, Field(discriminator="optimizer")
]


class AggregationSettings(BaseModel):
    """How the updates of a cohort become one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["mean", "median", "trimmed_mean"] = "mean"
    weighting: Literal["examples", "clients"] | None = Field(
        default=None,
        description="what a client's delta counts by; by default its examples, and 1 where influence is bounded",
    )
    clip_norm: float | None = Field(default=None, gt=0, description="the most that one client's update may measure")
    group_size: int = Field(
        default=1, ge=1, description="clients that are summed to one vote of the median or the trimmed mean"
    )
    trim: float = Field(default=0.1, gt=0, lt=0.5, description="share of the votes that is cut off at each end")
    sums_only: bool = Field(
        default=False, description="the server may see nothing of one client alone, as under secure aggregation"
    )

    @model_validator(mode="after")
    def _is_possible(self) -> "AggregationSettings":
        if self.sums_only and self.rule != "mean" and self.group_size == 1:
            raise ValueError(
                f"the {self.rule} of groups of 1 compares the updates of single clients, and sums_only keeps them "
                f"from the server; a group_size above 1 compares sums over groups, and clip_norm needs no comparison"
            )
        if self.weighting == "examples" and self.bounds_influence:
            raise ValueError(
                "weighting by examples lets a client claim any number of them, against which neither rule nor "
                "clip_norm bounds its influence; leave it out, or weight by clients"
            )
        return self

    @property
    def bounds_influence(self) -> bool:
        """Whether one client's influence is bounded, whatever it sends or claims."""
        return self.rule != "mean" or self.clip_norm is not None

    @property
    def by_examples(self) -> bool:
        """Whether a client's delta counts by the number of its examples; else each counts the same."""
        return not self.bounds_influence and self.weighting != "clients"
