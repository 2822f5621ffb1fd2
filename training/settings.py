"""The settings of a training run: all that it depends on besides its data. Read before TensorFlow is."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_store.fold_in import FoldInSettings
from training.compression.settings import CompressionSettings
from training.context_settings import ContextSettings
from training.item_item_settings import ItemItemSettings
from training.losses.names import LossName
from training.privacy.settings import PrivacySettings
from training.server_settings import AggregationSettings, FedAvgServer, ServerSettings
from training.tower_settings import TowerSettings

UNMET_WEIGHT = 720.0
"""α·items of the default: together, the items that a person has not met weigh as much as 720 that were met.

In a small catalogue α stays at 1: an unmet item never weighs more than a met one.

Of 180, 360, 720, 1440 and 2880 it is the best on validation data of MovieLens-1M (3,628 items) and MovieLens-100K
(1,682), and within 1 % of the best on Last.fm (17,388); docs/quality.md has the figures.
"""


class CurvatureSettings(BaseModel):
    """How large the steps are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=0.7, gt=0, le=2, description="η_0; 1 is a full Newton step")
    decay_rounds: float = Field(default=5.0, gt=0, description="τ in η_t = η_0 / (1 + t/τ)")
    momentum: float = Field(default=0.8, ge=0, lt=1, description="share of the old running means that is kept")
    activity_exponent: float = Field(
        default=0.3, ge=0, le=1, description="x: a client of n items counts by n^(−x); 0 counts all interactions alike"
    )
    row_bound: float | None = Field(
        default=0.25,
        ge=1e-9,
        le=1e9,
        allow_inf_nan=False,
        description="the longest row that one client may add to an item's gradient; none bounds nothing",
    )


class FedAvgSettings(BaseModel):
    """How far clients train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: LossName = Field(default="quadratic", description="of the scores that a client gives to the items")
    local_epochs: int = Field(default=2, ge=1, description="E, gradient steps of a client")
    client_learning_rate: float = Field(default=0.1, gt=0, description="α_i, of those steps")
    proximal: float = Field(default=0.0, ge=0, description="μ of FedProx; 0 leaves the term out")
    negatives: int = Field(default=256, ge=1, description="sampled items a client, for a loss that samples")


class AlgorithmSettings(BaseModel):
    """Which algorithm, over which loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Literal["curvature", "fedavg", "gram"] = "curvature"
    privacy: PrivacySettings | None = Field(default=None, description="of algorithm gram, which has it always")
    dim: int = Field(default=64, ge=1, le=4096, description="numbers in an item vector")
    alpha: float | None = Field(
        default=None,
        ge=1e-6,
        le=100,
        allow_inf_nan=False,
        description="weight of an unmet item; by default 720 / items, at most 1",
    )
    regularization: float = Field(default=0.01, ge=1e-5, le=100, allow_inf_nan=False, description="λ")
    popularity_discount: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="b: an item's score counts pop^(−b) times, pop the share of people who met it",
    )
    tower: TowerSettings = TowerSettings()
    item_item: ItemItemSettings = ItemItemSettings()
    context: ContextSettings = ContextSettings()
    curvature: CurvatureSettings = CurvatureSettings()
    fedavg: FedAvgSettings = FedAvgSettings()
    server: ServerSettings = FedAvgServer()
    aggregation: AggregationSettings = AggregationSettings()
    compression: CompressionSettings | None = Field(default=None, description="of what cells send; none sends it whole")

    @model_validator(mode="before")
    @classmethod
    def _privacy_names_its_algorithm(cls, given: Any) -> Any:
        """Whoever asks for privacy need not know that one algorithm has it."""
        if isinstance(given, dict) and given.get("privacy") is not None and given.get("algorithm") is None:
            return {**given, "algorithm": "gram"}
        return given

    @model_validator(mode="after")
    def _is_private_or_not(self) -> "AlgorithmSettings":
        if (self.algorithm == "gram") != (self.privacy is not None):
            raise ValueError(
                f"algorithm gram goes with settings of privacy, an epsilon and a delta, and no other algorithm does: "
                f"what others send is not bounded a person; got algorithm {self.algorithm} "
                f"{'without' if self.privacy is None else 'with'} them"
            )
        if self.privacy is None:
            return self
        if self.aggregation != AggregationSettings():
            raise ValueError("algorithm gram adds sums and noise; settings of aggregation are for the others")
        for name, asked in (("item_item", self.item_item.items), ("context", self.context.features)):
            if asked:
                raise ValueError(f"{name} sends sums that no noise is added to; leave it out, or train without privacy")
        return self

    @model_validator(mode="after")
    def _compressed_or_not(self) -> "AlgorithmSettings":
        if self.compression is None:
            return self
        if self.algorithm != "curvature":
            raise ValueError(f"compression is of the sums of algorithm curvature; got algorithm {self.algorithm}")
        if self.aggregation != AggregationSettings(clip_norm=self.aggregation.clip_norm):
            raise ValueError("compressed sums are added, and no rule of aggregation can tell them apart; leave it out")
        unused = {"learning_rate", "decay_rounds", "momentum"}
        if self.curvature.model_dump(include=unused) != CurvatureSettings().model_dump(include=unused):
            raise ValueError(
                f"compressed rounds have steps of their own: set learning_rate and decay_rounds of compression, and "
                f"leave {', '.join(sorted(unused))} of curvature out"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "AlgorithmSettings":
        if self.algorithm != "fedavg" and self.server != FedAvgServer():
            raise ValueError(
                f"server optimizer {self.server.optimizer} steps along what clients learnt by themselves, which is "
                f"algorithm fedavg; algorithm {self.algorithm} has a step of its own"
            )
        for name, unset in (("fedavg", FedAvgSettings()), ("curvature", CurvatureSettings())):
            if self.algorithm != name and getattr(self, name) != unset:
                raise ValueError(f"algorithm {self.algorithm} has no use for settings of {name}: leave them out")
        if self.algorithm == "curvature" and self.aggregation.weighting is not None:
            raise ValueError("weighting is for algorithm fedavg; algorithm curvature sends sums, which nothing weighs")
        after = [
            name for name, asked in (("item_item", self.item_item.items), ("context", self.context.features)) if asked
        ]
        if after and self.aggregation.bounds_influence:
            raise ValueError(
                f"aggregation bounds what one client can do in a round; what clients send once after the rounds for "
                f"{' and '.join(after)} is a plain sum, which it cannot bound: leave one of the two out"
            )
        return self

    def fold_in(self, items: int) -> FoldInSettings:
        """The weights of the loss over that many items."""
        return FoldInSettings(self.alpha or min(1.0, UNMET_WEIGHT / items), self.regularization)


class TrainingSettings(AlgorithmSettings):
    """All that a run depends on besides its data."""

    rounds: int = Field(default=40, ge=1, description="the most rounds")
    cohort: int = Field(default=600, ge=1, description="the most clients a round; a pass over everybody is cut evenly")
    seed: int = Field(default=7, ge=0)
    patience: int = Field(default=8, ge=0, description="evaluations without gain before training stops; 0 never does")
    validation_users: int = Field(
        default=2000, ge=0, description="people validated on after each round; 0 is everybody"
    )
