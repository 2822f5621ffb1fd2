"""The gate: whether a newly trained checkpoint may take the place of the one in production.

A pure function of figures. Both were judged by the same people and the same held-out items; whoever calls it sees to
that. A figure of n people differs from the truth by about σ/√n (σ is near .3 for NDCG@20), so that a tolerance
below that for few people is a gate that chance opens and shuts: `least_people` is there for that.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation import Quality

Metric: TypeAlias = Literal["ndcg@20", "recall@20", "hr@10"]
Opponent: TypeAlias = Literal["production", "popularity", "nobody"]


class GateSettings(BaseModel):
    """What a candidate has to reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric = Field(default="ndcg@20", description="what counts")
    tolerance: float = Field(
        default=0.01, ge=0, lt=1, description="the candidate's metric may be lower than production's by this share"
    )
    least_coverage: float = Field(
        default=0.8, ge=0, le=1, description="the least share of production's coverage that the candidate has to have"
    )
    least_people: int = Field(default=100, ge=2, description="judged by fewer people, no candidate is promoted")
    first: bool = Field(
        default=False, description="promote the first checkpoint of all, whatever its figures; later ones never so"
    )


class Check(NamedTuple):
    """One thing that was asked of the candidate.

    name: of the figure. found: the candidate's. needed: the least that passes.
    """

    name: str
    found: float
    needed: float
    passes: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says.

    promotes: whether the candidate goes into production.
    why: in a sentence.
    opponent: what it was compared with.
    checks: what was asked of it; all of them have to pass.
    """

    promotes: bool
    why: str
    opponent: Opponent
    checks: tuple[Check, ...] = ()


def decide(
    settings: GateSettings, candidate: Quality | None, production: Quality | None, popularity: Quality | None = None
) -> Decision:
    """Promote or keep.

    Args:
        settings: see there.
        candidate: None where nobody could be judged.
        production: None where nothing is in production.
        popularity: of a ranking by how many people met an item, the same for everybody; for a first checkpoint.
    """
    opponent: Opponent = "production" if production else "popularity" if popularity else "nobody"
    if production is None and settings.first:
        why = "nothing was in production, and the first checkpoint was to be promoted as it is"
        return Decision(promotes=True, why=why, opponent=opponent)
    rival = production or popularity
    if candidate is None or rival is None:
        return Decision(promotes=False, why="there are no held-out items to judge by", opponent=opponent)
    figures, others = candidate.figures(), rival.figures()
    checks = [_check("people judged", float(candidate.users), float(settings.least_people))]
    if production is None:  # a model that is no better than popularity is not worth its embeddings
        needed = others[settings.metric]
        checks.append(Check(settings.metric, figures[settings.metric], needed, figures[settings.metric] > needed))
    else:
        checks += [
            _check(settings.metric, figures[settings.metric], others[settings.metric] * (1 - settings.tolerance)),
            _check("coverage@20", figures["coverage@20"], others["coverage@20"] * settings.least_coverage),
        ]
    failed = [check for check in checks if not check.passes]
    return Decision(not failed, _why(failed, checks, opponent), opponent, tuple(checks))


def _check(name: str, found: float, needed: float) -> Check:
    return Check(name, found, needed, found >= needed)


def _why(failed: list[Check], checks: list[Check], opponent: Opponent) -> str:
    if failed:
        return "; ".join(f"{check.name} is {check.found:.4g}, and {check.needed:.4g} is needed" for check in failed)
    metric = checks[1]
    return f"{metric.name} is {metric.found:.4g}; beside {opponent}, {metric.needed:.4g} was needed"
