"""What all counters of ads must do. A test class of each kind inherits it and gives `counters` and `clock`."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from feature_store.ad_counters import AdCounters, Budget, Cap, OneShow, Spend, Spent
from feature_store.currencies import LARGEST_MICROS
from feature_store.errors import BadInput

NOON = 1_772_366_400.0  # 2026-03-01T12:00:00Z, a Sunday
DAY = 86400.0


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.mark.anyio
class AdCountersContract:
    async def test_money_is_spent_until_the_budget_is_and_not_beyond(self, counters: AdCounters) -> None:
        budget = Budget(total=100)
        assert await counters.try_spend("c", "i1", 60, budget) == Spend(True, "new", 60, 60)  # noqa: FBT003 - a value
        assert await counters.try_spend("c", "i2", 41, budget) == Spend(False, "total-budget", 60, 60)  # noqa: FBT003
        assert await counters.try_spend("c", "i3", 40, budget) == Spend(True, "new", 100, 100)  # noqa: FBT003
        assert (await counters.try_spend("c", "i4", 1, budget)).reason == "total-budget"
        assert await counters.spent("c") == Spent(100, 100)
        assert await counters.spent("d") == Spent(0, 0)

    async def test_an_impression_is_spent_for_once(self, counters: AdCounters) -> None:
        budget = Budget(total=100)
        await counters.try_spend("c", "i", 60, budget)
        again = await counters.try_spend("c", "i", 60, budget)
        assert (again.counted, again.reason, again.total) == (True, "known", 60)
        assert (await counters.try_spend("d", "i", 60, budget)).reason == "new"

    async def test_what_was_refused_may_be_tried_again(self, counters: AdCounters) -> None:
        assert not (await counters.try_spend("c", "i", 60, Budget(total=50))).counted
        assert (await counters.try_spend("c", "i", 60, Budget(total=60))).reason == "new"

    async def test_a_daily_budget_begins_anew_at_midnight_and_the_total_does_not(
        self, counters: AdCounters, clock: SetClock
    ) -> None:
        budget = Budget(total=100, daily=50)
        clock.now = NOON + DAY / 2 - 1
        assert (await counters.try_spend("c", "i1", 50, budget)).counted
        assert (await counters.try_spend("c", "i2", 1, budget)).reason == "daily-budget"
        clock.now += 1
        assert await counters.spent("c") == Spent(50, 0)
        assert (await counters.try_spend("c", "i2", 40, budget)).counted
        clock.now += DAY
        assert (await counters.try_spend("c", "i3", 11, budget)).reason == "total-budget"
        assert await counters.try_spend("c", "i4", 10, budget) == Spend(True, "new", 100, 10)  # noqa: FBT003

    async def test_an_impression_is_known_for_two_days_after_its_own(
        self, counters: AdCounters, clock: SetClock
    ) -> None:
        await counters.try_spend("c", "i", 60, Budget())
        clock.now += 2 * DAY
        assert await counters.try_spend("c", "i", 60, Budget()) == Spend(True, "known", 60, 0)  # noqa: FBT003
        clock.now += DAY
        assert (await counters.try_spend("c", "i", 60, Budget())).reason == "new"
        assert await counters.spent("c") == Spent(120, 60)

    async def test_a_refund_gives_back_to_the_day_it_was_spent_on(self, counters: AdCounters, clock: SetClock) -> None:
        budget = Budget(total=100, daily=60)
        await counters.try_spend("c", "i1", 60, budget)
        clock.now += DAY
        await counters.try_spend("c", "i2", 40, budget)
        assert await counters.refund("c", "i1") == 60
        assert await counters.spent("c") == Spent(40, 40)
        assert await counters.refund("c", "i1") == 0
        assert await counters.try_spend("c", "i1", 60, budget) == Spend(False, "refunded", 40, 40)  # noqa: FBT003
        assert await counters.refund("c", "nobody's") == 0
        clock.now -= DAY
        assert await counters.spent("c") == Spent(40, 0)

    async def test_sums_are_exact_up_to_the_largest(self, counters: AdCounters) -> None:
        assert (await counters.try_spend("c", "i", LARGEST_MICROS - 1, Budget())).counted
        assert (await counters.try_spend("c", "j", 2, Budget())).reason == "total-budget"
        assert await counters.try_spend("c", "k", 1, Budget()) == Spend(
            counted=True, reason="new", total=LARGEST_MICROS, today=LARGEST_MICROS
        )

    async def test_what_is_no_amount_or_id_is_refused(self, counters: AdCounters) -> None:
        for micros in (0, -1, 1.5, LARGEST_MICROS + 1, True):
            with pytest.raises(BadInput, match="what an impression costs is a whole number of micros from 1"):
                await counters.try_spend("c", "i", micros, Budget())  # type: ignore[arg-type]  # as from JSON
        with pytest.raises(BadInput, match="campaign has 1 to 256 characters"):
            await counters.try_spend("", "i", 1, Budget())
        with pytest.raises(BadInput, match="impression_id has 1 to 256 characters"):
            await counters.try_show("ada", Cap("a", 1), "")
        with pytest.raises(BadInput, match="person who is shown an ad has 1 to 256 characters"):
            await counters.try_show("", Cap("a", 1), "i")

    async def test_ids_of_every_kind_are_ids(self, counters: AdCounters) -> None:
        for campaign in ("a}b{c", "total", "naïve 🜂", ":", "x" * 256, "nul \0"):
            assert (await counters.try_spend(campaign, campaign, 5, Budget(total=5))).reason == "new"
            assert await counters.spent(campaign) == Spent(5, 5)
            assert (await counters.try_show(campaign, Cap(campaign, 1), campaign)).reason == "new"
            assert await counters.shown(campaign, [Cap(campaign, 1)]) == [1]

    async def test_an_ad_is_shown_up_to_its_cap_within_any_window(self, counters: AdCounters, clock: SetClock) -> None:
        cap = Cap("a", most=2, window=100)
        shows = []
        for second, impression in ((0, "i1"), (60, "i2"), (99, "i3"), (100, "i4"), (159, "i5"), (160, "i6")):
            clock.now = NOON + second
            shows.append(await counters.try_show("ada", cap, impression))
        assert [(show.reason, show.times) for show in shows] == [
            ("new", 1),
            ("new", 2),
            ("cap", 2),
            ("new", 2),
            ("cap", 2),
            ("new", 2),
        ]
        assert [show.counted for show in shows] == [True, True, False, True, False, True]

    async def test_a_cap_is_of_one_person_and_one_ad(self, counters: AdCounters) -> None:
        assert (await counters.try_show("ada", Cap("a", 1), "i1")).counted
        assert not (await counters.try_show("ada", Cap("a", 1), "i2")).counted
        assert (await counters.try_show("bob", Cap("a", 1), "i2")).counted
        assert (await counters.try_show("ada", Cap("b", 1), "i2")).counted
        assert await counters.shown("ada", [Cap("b", 1), Cap("c", 1), Cap("a", 1)]) == [1, 0, 1]
        assert await counters.shown("ada", []) == []

    async def test_a_show_counts_once_and_may_be_taken_back(self, counters: AdCounters) -> None:
        cap = Cap("a", 1)
        await counters.try_show("ada", cap, "i1")
        assert (await counters.try_show("ada", cap, "i1"))[1:] == ("known", 1)
        assert await counters.take_back_shows([OneShow("ada", "a", "i2")]) == [False]
        assert await counters.take_back_shows([OneShow("ada", "a", "i1")]) == [True]
        assert await counters.take_back_shows([OneShow("ada", "a", "i1")]) == [False]
        assert await counters.shown("ada", [cap]) == [0]
        assert (await counters.try_show("ada", cap, "i3"))[1:] == ("new", 1)

    async def test_what_a_person_was_shown_is_exported_and_erased(self, counters: AdCounters, clock: SetClock) -> None:
        await counters.try_show("ada", Cap("b", 5), "i1")
        await counters.try_show("bob", Cap("b", 5), "i2")
        clock.now += 2.5
        await counters.try_show("ada", Cap("a", 5), "i3")
        await counters.try_show("ada", Cap("b", 5), "i4")
        assert json.loads(json.dumps(await counters.export("ada"))) == {
            "user_id": "ada",
            "shown_ads": [
                {"ad": "a", "timestamp": NOON + 2.5},
                {"ad": "b", "timestamp": NOON},
                {"ad": "b", "timestamp": NOON + 2.5},
            ],
        }
        assert await counters.delete("ada") == 3
        assert await counters.export("ada") == {"user_id": "ada", "shown_ads": []}
        assert await counters.shown("ada", [Cap("a", 5), Cap("b", 5)]) == [0, 0]
        assert await counters.delete("ada") == 0
        assert await counters.shown("bob", [Cap("b", 5)]) == [1]

    async def test_many_at_once_exceed_neither_budget_nor_cap(self, counters: AdCounters) -> None:
        """40 spends of 7 against 100 and 40 shows against 3, each sent twice: 14 and 3 of them count."""
        budget, cap = Budget(total=1000, daily=100), Cap("a", 3)
        spends = await asyncio.gather(*(counters.try_spend("c", f"i{n % 40}", 7, budget) for n in range(80)))
        shows = await asyncio.gather(*(counters.try_show("ada", cap, f"i{n % 40}") for n in range(80)))
        assert [spend.reason for spend in spends].count("new") == 14
        assert await counters.spent("c") == Spent(98, 98)
        assert [show.reason for show in shows].count("new") == 3
        assert await counters.shown("ada", [cap]) == [3]
