"""A trial: the model in the shadow stage, compared with production, or shown to a share of people under guardrails.

Nobody is shown its answers while `share` is 0: some requests are answered a second time, for nobody, and the two lists
are compared. With a share, those who fall into it are answered by it. It is stopped, and its stage taken from it, as
soon as a guardrail says so:

    failures    of `least_requests` answers and more, a larger part than `most_failures` could not be made, or had
                fewer items than production has for the same request
    clicks      what it shows is clicked less than `least_click_ratio` times as often as what production shows, and
                chance alone would hardly do that: z < -1.96 for the difference of log click rates (delta method)

Whoever it fails is answered by production in the same reply.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.assignment import fraction

_CERTAIN = 1.96  # standard deviations

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class TrialSettings(BaseModel):
    """How a model in the shadow stage is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: _Share = Field(default=0.0, description="of people who are answered by it")
    compared: _Share = Field(default=0.05, description="of the other requests, which it answers for nobody to see")
    salt: str = Field(default="trial", min_length=1, max_length=64, description="another one takes other people")
    least_requests: int = Field(default=100, ge=1, description="before failures can stop it")
    most_failures: _Share = Field(default=0.01, description="of its answers")
    least_clicks: int = Field(default=50, ge=1, description="of production's replies, before clicks can stop it")
    least_click_ratio: float = Field(
        default=0.9, gt=0, allow_inf_nan=False, description="of its click rate to production's"
    )


@dataclass(slots=True)
class Tally:
    """What became of one model's answers since the trial began."""

    requests: int = 0
    failures: int = 0
    shows: int = 0
    clicks: int = 0


@dataclass(slots=True)
class Trial:
    """One model's trial.

    model_id: the model in the shadow stage.
    against: the model in production that `production` counts; None before anything of one was counted.
    stopped: why no more of it is shown; None while the trial goes on.
    """

    model_id: str
    settings: TrialSettings
    theirs: Tally = field(default_factory=Tally)
    production: Tally = field(default_factory=Tally)
    against: str | None = None
    stopped: str | None = None

    def answers(self, unit: str) -> bool:
        """Whether the model on trial answers that person, or that request where nobody says who asks."""
        return self.stopped is None and fraction(self.settings.salt, unit) < self.settings.share

    def compares(self, recommendation_id: str) -> bool:
        """Whether it answers that request for nobody to see; by chance, as far as the id is."""
        return self.stopped is None and fraction("compared", recommendation_id) < self.settings.compared

    def tally(self, model_id: str, production_id: str | None) -> Tally | None:
        """Where what became of that model's answers is counted; None for one that is not compared now.

        production_id: of the model in production now; once it is another, its tally begins anew.
        """
        if model_id == self.model_id:
            return self.theirs
        if model_id != production_id:
            return None
        if self.against != production_id:
            self.against, self.production = production_id, Tally()
        return self.production

    def verdict(self) -> str | None:
        """Why the trial should end now; None for no reason."""
        theirs, settings = self.theirs, self.settings
        if theirs.requests >= settings.least_requests and theirs.failures > settings.most_failures * theirs.requests:
            return f"{theirs.failures} of {theirs.requests} answers failed; at most {settings.most_failures:.1%} may"
        if self.production.clicks >= settings.least_clicks and clicked_less(
            theirs, self.production, settings.least_click_ratio
        ):
            return (
                f"{theirs.clicks} of {theirs.shows} shown were clicked, in production {self.production.clicks} of "
                f"{self.production.shows}: less than {settings.least_click_ratio:g} times as often"
            )
        return None


def clicked_less(theirs: Tally, production: Tally, ratio: float) -> bool:
    """Whether their click rate is below `ratio` times production's, beyond what chance does.

    The logarithm of a click rate c/n has the variance 1/c - 1/n (Katz et al. 1978). Half a click is added to each,
    so that none at all says something too.
    """
    if not theirs.shows or not production.shows:
        return False
    rates = []
    variance = 0.0
    for tally in (theirs, production):
        clicks, shows = min(tally.clicks, tally.shows) + 0.5, tally.shows + 0.5
        rates.append(math.log(clicks / shows))
        variance += 1 / clicks - 1 / shows
    return rates[0] - rates[1] - math.log(ratio) < -_CERTAIN * math.sqrt(variance)
