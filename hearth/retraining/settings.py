"""The settings of a retraining, from a file of TOML or JSON and from the command line, which goes first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from serving.settings_text import settings_in
from training.federation.centre import Request, RetrainingRules
from training.gate import GateSettings
from training.settings import TrainingSettings

ROUNDS = 12
"""The most rounds where settings do not say: begun with production's vectors, more gain little (docs/retraining.md)."""


class RetrainingSettings(BaseModel):
    """What a retraining is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: TrainingSettings = TrainingSettings(rounds=ROUNDS)
    gate: GateSettings = GateSettings()
    items: Path | None = Field(default=None, description="catalogue; without one the items are those in production")
    vertical: str = Field(default="e-commerce", min_length=1, description="of items that are not in production yet")
    held_out: float = Field(default=0.1, gt=0, lt=1, description="share of each person's newest items that judges")
    least_new_events: int = Field(default=1, ge=0, description="items met since production; below, nothing is trained")
    start: Literal["production", "new"] = Field(default="production", description="what the first round begins with")
    cells: int | None = Field(default=None, ge=1, description="cells to wait for; default: all that the folder plans")
    quorum: int | None = Field(
        default=None, ge=1, description="the fewest in a round; default: more than half of cells"
    )
    gather_seconds: float = Field(default=120.0, ge=0, allow_inf_nan=False, description="to wait for the cells")
    deadline_seconds: float = Field(default=600.0, gt=0, allow_inf_nan=False, description="for a cell's answer")

    @field_validator("training", mode="before")
    @classmethod
    def _fewer_rounds(cls, given: Any) -> Any:
        return {"rounds": ROUNDS, **given} if isinstance(given, dict) else given

    def request(
        self, registry: str, signing_key: Path, state: Path | None, planned: int, actor: str | None = None
    ) -> Request:
        """What is asked of the federation.

        planned: how many cells it has, where these settings do not say. actor: who promotes.
        """
        cells = self.cells or planned
        return Request(
            registry=registry,
            signing_key=signing_key,
            state=state,
            settings=self.training,
            catalogue=None if self.items is None else self.items.absolute(),
            vertical=self.vertical,
            held_out=self.held_out,
            cells=cells,
            quorum=self.quorum or cells // 2 + 1,
            gather_seconds=self.gather_seconds,
            deadline_seconds=self.deadline_seconds,
            actor=actor,
            retraining=RetrainingRules(gate=self.gate, least_new_events=self.least_new_events, start=self.start),
        )


def read_retraining_settings(file: Path | None, options: Mapping[str, Any]) -> RetrainingSettings:
    """The settings of the file, changed by the options, by path, such as gate.first; None is one that was not given.

    Raises:
        BadInput: the file is not of that form, or the settings are none that there are.
    """
    named = {} if file is None else settings_in(file, file.read_bytes())
    for path, value in options.items():
        if value is None:
            continue
        table, _, name = path.rpartition(".")
        if not table:
            named[name] = value
        elif isinstance(part := named.get(table, {}), dict):
            named[table] = {**part, name: value}
    try:
        return RetrainingSettings.model_validate(named)
    except ValidationError as error:
        raise BadInput(f"{file or 'settings'}: {faults_of(error)}") from None
