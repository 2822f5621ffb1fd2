"""Placements: where recommendations are shown, of what, from which sources, and by what rules. Data, not code.

A file of placements (TOML or JSON) has a table for each, by its name:

    [front-page]
    vertical = "news"
    sources = [{kind = "personal"}, {kind = "fresh", share = 0.2}]
    half_life_hours = 6.0
    caps = [{field = "topic", most = 3}]
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from feature_store.item_fields import Time
from serving.ads.settings import AdsSettings, Sponsored
from serving.placements.conditions import Condition

PLACEMENT_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")  # it stands in a URL and in a metric's label
DEEPEST = 5000  # candidates of one source
_LARGEST_BOOST = 100  # its logarithm to 10; scores are numbers of 32 bits, and reckoned with in 64

_Share: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Depth: TypeAlias = Annotated[int, Field(ge=1, le=DEEPEST)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Source(_Settings):
    """share: of each list, rounded up, so many of its items come from here at least, where it has them."""

    share: _Share = 0.0
    depth: _Depth = 300


class PersonalSource(_Source):
    """What is closest to the person; popular items for whom nothing is known."""

    kind: Literal["personal"] = "personal"


class PopularSource(_Source):
    """What most people met."""

    kind: Literal["popular"] = "popular"


class FreshSource(_Source):
    """What has appeared lately, known to the model or not; which of it, is explored (Thompson sampling).

    max_age_hours: since an item appeared; absent: those that the model does not know, however old.
    prior_clicks, prior_shows: what is taken for granted of each before anybody was shown it.
    """

    kind: Literal["fresh"] = "fresh"
    max_age_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    prior_clicks: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    prior_shows: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0

    @model_validator(mode="after")
    def _fewer_clicks_than_shows(self) -> "FreshSource":
        if not self.prior_clicks < self.prior_shows:
            raise ValueError("prior_clicks are fewer than prior_shows")
        return self


class SimilarSource(_Source):
    """What is close to one item: the one that the request names, else those the person met last."""

    kind: Literal["similar"] = "similar"


class GraphSource(_Source):
    """What friends have met, and what they and those whom the person follows have made.

    people: how many, at most, are asked what they have met.
    met_by: whose meetings count. Friends agreed to be that; whoever is followed did not, and anybody can follow.
    weight: what friends' meetings add to the scores of the person's own source; see `serving.sources.graph`.
    """

    kind: Literal["graph"] = "graph"
    people: Annotated[int, Field(ge=1, le=500)] = 50
    met_by: Literal["friends", "friends-and-followed"] = "friends"
    weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.5


class NewAuthorsSource(_Source):
    """Posts of authors of whom people have met fewer than so many."""

    kind: Literal["new_authors"] = "new_authors"
    fewer_than: Annotated[int, Field(ge=1, le=1_000_000)] = 5


class PinnedSource(_Source):
    """What an editor has chosen, in that order."""

    kind: Literal["pinned"] = "pinned"
    items: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]


SourceSettings: TypeAlias = Annotated[
    PersonalSource | PopularSource | FreshSource | SimilarSource | GraphSource | NewAuthorsSource | PinnedSource,
    Field(discriminator="kind"),
]


class Rule(_Settings):
    """What becomes of some items, from one time to another: hidden, put at a position, or their scores multiplied.

    starts, ends: RFC 3339 with a time zone, or seconds since 1970; absent: always.
    position: from 1, for "promote"; of several items of one rule, the best comes to stand there.
    factor: above 0, for "boost"; all of a placement together multiply a score by at most 1e100, or divide it.
    """

    name: str = ""
    when: Condition
    then: Literal["hide", "promote", "boost"]
    position: Annotated[int, Field(ge=1, le=1000)] | None = None
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    starts: Time | None = None
    ends: Time | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Rule":
        needed = {"hide": set(), "promote": {"position"}, "boost": {"factor"}}[self.then]
        given = {name for name in ("position", "factor") if getattr(self, name) is not None}
        if needed != given:
            raise ValueError(f"a rule to {self.then} has {' and '.join(needed) or 'neither position nor factor'}")
        if self.starts is not None and self.ends is not None and not self.ends > self.starts:
            raise ValueError("a rule ends after it starts")
        return self

    def is_in_force(self, now: float) -> bool:
        """Whether it holds at that time, in seconds since 1970."""
        return (self.starts is None or self.starts <= now) and (self.ends is None or now < self.ends)


class Cap(_Settings):
    """At most so many items of one list share the first name of a field: an author, a topic, a brand."""

    field: Annotated[str, Field(min_length=1, max_length=256)]
    most: Annotated[int, Field(ge=1, le=1000)]


class Repeats(_Settings):
    """Whether what a person met already may come again.

    default: of an item that neither list is about.
    show, hide: conditions that say so for some items; where both hold, they are hidden.
    """

    default: Literal["hide", "show"] = "hide"
    show: Condition = Field(default_factory=dict)
    hide: Condition = Field(default_factory=dict)


class Diversity(_Settings):
    """How unlike each other the items of a list are to be.

    weight: 0 ranks by score alone, 1 by unlikeness alone; a request may ask for another.
    """

    method: Literal["mmr", "dpp"] = "mmr"
    weight: _Share = 0.3


class Placement(_Settings):
    """One place where recommendations are shown."""

    vertical: str | None = Field(
        default=None, min_length=1, max_length=64, description="whose items it shows; absent: all of the checkpoint's"
    )
    tenant: str | None = Field(
        default=None, min_length=1, max_length=32, description="whose it is; absent: of whoever asks without a tenant"
    )
    sources: tuple[SourceSettings, ...] = Field(default=(PersonalSource(),), min_length=1, max_length=10)
    rank_by: Literal["personal", "popular", "fresh", "similar", "graph", "new_authors", "pinned"] | None = Field(
        default=None, description="the source whose scores rank; absent: personal, or the only one that there is"
    )
    in_stock: bool = Field(default=True, description="leave out what cannot be sold")
    where: Condition = Field(default_factory=dict, description="what it shows at all")
    repeats: Repeats = Repeats()
    rules: tuple[Rule, ...] = Field(default=(), max_length=100)
    half_life_hours: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="in which an item's score halves after it appeared"
    )
    caps: tuple[Cap, ...] = Field(default=(), max_length=10)
    diversity: Diversity | None = None
    respects_graph: bool = Field(default=False, description="honour blocks, mutes and who may see a post")
    ads: AdsSettings | None = Field(default=None, description="its items are ads, ranked by what they bring")
    sponsored: Sponsored | None = Field(default=None, description="the ads that stand among its items")

    @field_validator("sources")
    @classmethod
    def _each_once(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        kinds = [source.kind for source in sources]
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind of source stands there once")
        if sum(source.share for source in sources) > 1 + 1e-9:  # 0.7 and 0.2 and 0.1 are floats
            raise ValueError("the shares of the sources come to more than the whole list")
        return sources

    @field_validator("rules")
    @classmethod
    def _boosts_stay_numbers(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        # A score beyond all numbers would be none, and the item that is boosted most would come last.
        if sum(abs(math.log10(rule.factor)) for rule in rules if rule.factor is not None) > _LARGEST_BOOST:
            raise ValueError(f"the factors of all boosts together multiply a score by at most 1e{_LARGEST_BOOST}")
        return rules

    @model_validator(mode="after")
    def _ads_are_ranked_by_what_they_bring(self) -> "Placement":
        if self.ads is None:
            return self
        if self.vertical is None:
            raise ValueError("ads are of a vertical; name it, such as vertical = 'ads'")
        if self.sponsored is not None:
            raise ValueError("a placement of ads has no other ads among them; leave out sponsored")
        given = {
            "sources": self.sources != (PersonalSource(),),
            "half_life_hours": self.half_life_hours is not None,
            "diversity": self.diversity is not None,
        }
        further = [name for name, is_given in given.items() if is_given]
        if further or any(rule.then != "hide" for rule in self.rules):
            named = " and ".join(further) or "rules that promote or boost"
            raise ValueError(f"ads are ranked by what they bring, and priced by it; leave out {named}")
        return self

    @model_validator(mode="after")
    def _is_ranked_by_a_source_of_its_own(self) -> "Placement":
        if self.rank_by not in (None, "personal") and self.source(str(self.rank_by)) is None:
            raise ValueError(f"rank_by names a source of the placement; {self.rank_by} is none of them")
        return self

    @property
    def uses_graph(self) -> bool:
        """Whether its lists depend on the social graph."""
        return self.respects_graph or self.source("graph") is not None

    def source(self, kind: str) -> SourceSettings | None:
        """The settings of one of its sources."""
        return next((source for source in self.sources if source.kind == kind), None)


def default_placements() -> Mapping[str, Placement]:
    """One that shows everything, by what is closest to the person."""
    return {"home": Placement()}
