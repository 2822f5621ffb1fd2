"""Counters of ads in memory: for tests, and for one server that may forget."""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, tzinfo

from feature_store.ad_counters import (
    Budget,
    Cap,
    Clock,
    OneShow,
    Show,
    Spend,
    Spent,
    bounds,
    day_of,
    days_known,
    exported,
    require_show,
    require_spend,
)
from feature_store.stores import JsonObject


class InMemoryAdCounters:
    """Counters in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self, clock: Clock = time.time, zone: tzinfo = UTC) -> None:
        self._clock, self._zone = clock, zone
        self._totals: dict[str, int] = defaultdict(int)
        self._days: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # day -> campaign -> micros
        self._costs: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)  # day -> (campaign, impression); 0: back
        self._shows: dict[
            str, dict[str, dict[str, tuple[float, float]]]
        ] = {}  # person -> ad -> impression -> at, until

    async def try_spend(self, campaign: str, impression_id: str, micros: int, budget: Budget) -> Spend:
        """See `AdCounters.try_spend`."""
        require_spend(campaign, impression_id, micros)
        today = self._today()
        for day in days_known(today):
            cost = self._costs.get(day, {}).get((campaign, impression_id))
            if cost is not None:
                return Spend(cost > 0, "known" if cost else "refunded", *self._spent(campaign, today))
        spent, (total, daily) = self._spent(campaign, today), bounds(budget)
        if spent.total + micros > total:
            return Spend(counted=False, reason="total-budget", total=spent.total, today=spent.today)
        if spent.today + micros > daily:
            return Spend(counted=False, reason="daily-budget", total=spent.total, today=spent.today)
        self._totals[campaign] += micros
        self._days[today][campaign] += micros
        self._costs[today][campaign, impression_id] = micros
        return Spend(counted=True, reason="new", total=spent.total + micros, today=spent.today + micros)

    async def refund(self, campaign: str, impression_id: str) -> int:
        """See `AdCounters.refund`."""
        for day in days_known(self._today()):
            costs = self._costs.get(day, {})
            if (campaign, impression_id) in costs:
                micros = costs[campaign, impression_id]
                costs[campaign, impression_id] = 0
                self._totals[campaign] -= micros
                self._days[day][campaign] -= micros
                return micros
        return 0

    async def spent(self, campaign: str) -> Spent:
        """See `AdCounters.spent`."""
        return self._spent(campaign, self._today())

    async def try_show(self, person: str, cap: Cap, impression_id: str) -> Show:
        """See `AdCounters.try_show`."""
        require_show(person, impression_id)
        now = self._clock()
        self._forget(person, now)
        shows = self._shows.setdefault(person, {}).setdefault(cap.ad, {})
        for old in [one for one, (at, _) in shows.items() if at <= now - cap.window]:
            del shows[old]
        if impression_id in shows:
            return Show(counted=True, reason="known", times=len(shows))
        if len(shows) >= cap.most:
            return Show(counted=False, reason="cap", times=len(shows))
        shows[impression_id] = (now, now + cap.window)
        return Show(counted=True, reason="new", times=len(shows))

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        """See `AdCounters.take_back_shows`."""
        return [
            self._shows.get(person, {}).get(ad, {}).pop(impression_id, None) is not None
            for person, ad, impression_id in shows
        ]

    async def shown(self, person: str, caps: Sequence[Cap]) -> list[int]:
        """See `AdCounters.shown`."""
        now, ads = self._clock(), self._shows.get(person, {})
        return [sum(at > now - cap.window for at, _ in ads.get(cap.ad, {}).values()) for cap in caps]

    async def delete(self, user_id: str) -> int:
        """See `AdCounters.delete`."""
        self._forget(user_id, self._clock())
        return sum(map(len, self._shows.pop(user_id, {}).values()))

    async def export(self, user_id: str) -> JsonObject:
        """See `AdCounters.export`."""
        self._forget(user_id, self._clock())
        ads = self._shows.get(user_id, {})
        return exported(user_id, [(ad, at) for ad, shows in ads.items() for at, _ in shows.values()])

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`. There are no files."""
        return False

    async def rotate(self) -> int:
        """See `AdCounters.rotate`. Nothing is sealed here."""
        return 0

    def _today(self) -> str:
        today = day_of(self._clock(), self._zone)
        known = days_known(today)
        for kept in (self._days, self._costs):
            for day in [day for day in kept if day < known[-1]]:
                del kept[day]
        return today

    def _spent(self, campaign: str, today: str) -> Spent:
        return Spent(self._totals.get(campaign, 0), self._days.get(today, {}).get(campaign, 0))

    def _forget(self, person: str, now: float) -> None:
        ads = self._shows.get(person, {})
        for ad in list(ads):
            for old in [one for one, (_, until) in ads[ad].items() if until <= now]:
                del ads[ad][old]
            if not ads[ad]:
                del ads[ad]
