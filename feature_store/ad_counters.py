"""Counters of ads: what campaigns have spent of their budgets, and how often a person has seen an ad.

Whether money may be spent, or an ad shown once more, is decided and counted in one step: however many servers ask at
once, no budget is exceeded and no cap either. Money is whole millionths of a currency (`feature_store.currencies`) and
is never rounded. Everything is counted by impression id: what is sent again is not counted again, as long as the
impression is remembered: two days behind its own for money, the cap's window for what a person saw.

`tests/feature_store/ad_counters_contract.py` holds every implementation to the protocol.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple, Protocol, TypeAlias

from feature_store.currencies import LARGEST_MICROS
from feature_store.errors import BadInput
from feature_store.events import LATEST_TIMESTAMP, require_id
from feature_store.stores import JsonObject

KEPT_DAYS = 2  # before today, of which impressions that cost money are remembered
LARGEST_CAP = 1000  # shows within a window: each is held until the window has passed
LONGEST_WINDOW = 366 * 86400.0  # seconds

Clock: TypeAlias = Callable[[], float]  # seconds since 1970
SpendReason: TypeAlias = Literal["new", "known", "refunded", "total-budget", "daily-budget"]
ShowReason: TypeAlias = Literal["new", "known", "cap"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a campaign may spend, in micros of its currency; None is no bound.

    daily: from midnight to midnight of the store's time zone.
    """

    total: int | None = None
    daily: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("total", self.total), ("daily", self.daily)):
            if value is not None:
                _require_micros(f"{name} of a budget", value, 0)


@dataclass(frozen=True, slots=True)
class Cap:
    """How often one person may see an ad: `most` times within any `window` seconds.

    An ad has one window. Where it is changed, shows that a shorter one has passed are forgotten.
    """

    ad: str
    most: int
    window: float = 86400.0

    def __post_init__(self) -> None:
        require_id("ad of a cap", self.ad)
        if not 1 <= self.most <= LARGEST_CAP:
            raise BadInput(f"a cap is 1 to {LARGEST_CAP:,} shows; got {self.most}")
        if not 1 <= self.window <= LONGEST_WINDOW:
            raise BadInput(f"the window of a cap is 1 to {LONGEST_WINDOW:,.0f} seconds; got {self.window}")


class Spend(NamedTuple):
    """What became of a spend.

    counted: whether the impression's money is spent: now ("new") or before ("known").
    total, today: what the campaign has spent by now, in micros.
    """

    counted: bool
    reason: SpendReason
    total: int
    today: int


class Spent(NamedTuple):
    """What a campaign has spent, in micros: in all, and since midnight."""

    total: int
    today: int


class Show(NamedTuple):
    """What became of a show: whether it counts, and how often the person has seen the ad within the window by now."""

    counted: bool
    reason: ShowReason
    times: int


class OneShow(NamedTuple):
    """A show that was counted."""

    person: str
    ad: str
    impression_id: str


class AdCounters(Protocol):
    """The counters of a place, with one clock and one time zone for its days.

    Raises, in each method:
        BadInput: an id is none, or an amount is no whole number of micros from 1 to 2^53 - 1.
        StoreError: as its subclasses say. Whether it was counted is not known then; sending it again finds out.
    """

    async def try_spend(self, campaign: str, impression_id: str, micros: int, budget: Budget) -> Spend:
        """Spend so much of the budget for the impression, if that leaves it at its bounds or below."""
        ...

    async def refund(self, campaign: str, impression_id: str) -> int:
        """Take back what the impression cost, from the day it was spent on; the micros, 0 where nothing is known of it.

        The impression stays known: it is neither refunded nor spent for again.
        """
        ...

    async def spent(self, campaign: str) -> Spent:
        """What the campaign has spent."""
        ...

    async def try_show(self, person: str, cap: Cap, impression_id: str) -> Show:
        """Count that the person is shown the ad, if that leaves it at its cap or below."""
        ...

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        """Count them no more: they were not shown after all. Of each whether it was counted."""
        ...

    async def shown(self, person: str, caps: Sequence[Cap]) -> list[int]:
        """How often the person has seen each of these ads within its window, in one round trip."""
        ...

    async def delete(self, user_id: str) -> int:
        """Remove all that is counted of the person, and say how many shows there were. Campaigns' money stays spent."""
        ...

    async def export(self, user_id: str) -> JsonObject:
        """What ads the person was shown and when, as far as windows go back, ready for `json.dumps`."""
        ...

    async def finish_erasures(self) -> bool:
        """As `feature_store.stores.PlaceOfPeople.finish_erasures`."""
        ...

    async def rotate(self) -> int:
        """Seal everything anew that is not sealed with the newest key; how many values those were."""
        ...


def day_of(now: float, zone: tzinfo = UTC) -> str:
    """The day of that time there, such as 2026-03-01; the next begins at midnight, also where clocks are changed."""
    if not 0 <= now < LATEST_TIMESTAMP:
        raise BadInput(f"a time is seconds since 1970; got {now}")
    return datetime.fromtimestamp(now, zone).date().isoformat()


def days_known(day: str) -> list[str]:
    """That day and those before it of which impressions are remembered, the latest first."""
    latest = date.fromisoformat(day)
    return [(latest - timedelta(days=back)).isoformat() for back in range(KEPT_DAYS + 1)]


def bounds(budget: Budget) -> tuple[int, int]:
    """The most that may be spent in all, and in a day; where there is no bound, the most that can be counted."""
    total = LARGEST_MICROS if budget.total is None else budget.total
    return total, total if budget.daily is None else budget.daily


def require_spend(campaign: str, impression_id: str, micros: int) -> None:
    """Raise `BadInput` for what cannot be spent."""
    require_id("campaign", campaign)
    require_id("impression_id", impression_id)
    _require_micros("what an impression costs", micros, 1)


def require_show(person: str, impression_id: str) -> None:
    """Raise `BadInput` for what cannot be shown."""
    require_id("person who is shown an ad", person)
    require_id("impression_id", impression_id)


def exported(user_id: str, shows: Sequence[tuple[str, float]]) -> JsonObject:
    """What `AdCounters.export` gives for these ads and times."""
    return {"user_id": user_id, "shown_ads": [{"ad": ad, "timestamp": time} for ad, time in sorted(shows)]}


def _require_micros(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_MICROS:
        raise BadInput(f"{name} is a whole number of micros from {least} to {LARGEST_MICROS:,}; got {value!r}")
