"""Prices, pacing and blending: as functions of values, against oracles that count by hand."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.ads.auction import price, smoothed
from serving.ads.blending import blended, room_for
from serving.ads.pacing import participation, share_of_day, takes_part
from serving.ads.settings import AdsSettings, Sponsored
from serving.placements.settings import Placement

bids = st.integers(1, 10**9)
rates = st.integers(1, 999).map(lambda thousandths: thousandths / 1000)


@given(bids, rates, bids, rates, st.integers(1, 100))
def test_a_price_is_the_least_that_stays_ahead_of_the_next(
    bid: int, rate: float, next_bid: int, next_rate: float, reserve: int
) -> None:
    if bid * rate < next_bid * next_rate or bid < reserve:
        return
    paid = price(bid, rate, (next_bid, next_rate), reserve)
    assert reserve <= paid <= bid
    own, other = Fraction(rate), Fraction(next_bid) * Fraction(next_rate)
    slack = Fraction(1, 10**5) * own  # what 64 bits leave of such numbers
    assert paid * own >= other - slack or paid == bid
    if paid > reserve:
        assert (paid - 1) * own <= other + slack
    assert price(bid, rate, None, reserve) == reserve


def test_a_price_by_hand() -> None:
    assert price(400_000, 0.02, (500_000, 0.01), 1) == 250_001
    assert price(400_000, 0.02, (800_000, 0.01), 1) == 400_000  # a tie: the bid, and no micro more
    assert price(400_000, 0.02, (500_000, 0.01), 300_000) == 300_000


@given(st.integers(0, 50), st.integers(0, 500), st.floats(0.1, 5), st.floats(5.5, 1000))
def test_a_smoothed_rate_lies_between_what_is_taken_for_granted_and_what_was_found(
    clicks: int, more: int, prior_clicks: float, prior_shows: float
) -> None:
    shows = clicks + more
    [rate] = smoothed(np.array([float(clicks)]), np.array([float(shows)]), prior_clicks, prior_shows)
    between = sorted([prior_clicks / prior_shows, clicks / shows if shows else prior_clicks / prior_shows])
    assert between[0] - 1e-9 <= rate <= between[1] + 1e-9 or rate >= 1 - 1e-6


def test_the_day_is_that_of_utc() -> None:
    assert [share_of_day(86400.0 * day + second) for day, second in ((0, 0), (20_000, 21_600), (7, 86_399))] == [
        0.0,
        0.25,
        pytest.approx(1, abs=2e-5),
    ]


def test_who_is_ahead_of_the_day_takes_part_less_and_who_has_no_budget_always() -> None:
    noon, daily = 43_200.0, np.array([1000, 1000, 1000, 1000, -1])
    today = np.array([400, 500, 505, 520, 10**9])
    assert participation(daily, today, noon, 0.02).tolist() == pytest.approx([1, 1, 0.75, 0, 1])


def test_chance_is_the_seeds_and_comes_out_as_often_as_it_should() -> None:
    chances = np.full(4000, 0.3)
    first, again, other = (takes_part(chances, seed) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
    assert first.mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("demand", [3, 20])
def test_a_budget_that_demand_would_spend_by_morning_lasts_all_day(demand: int) -> None:
    """Clicks of 1 in a budget of 500; `demand` budgets' worth of them in a day."""
    budget, pace, spent, worst = 500, 0.02, 0, 0.0
    times = np.sort(np.random.default_rng(demand).uniform(0, 86_400, budget * demand))
    for step, now in enumerate(times.tolist()):
        chance = participation(np.array([budget]), np.array([spent]), now, pace)
        if spent < budget and takes_part(chance, step)[0]:
            spent += 1
        worst = max(worst, spent - budget * share_of_day(now))
    assert worst <= pace * budget + 1  # the click under way
    assert spent >= (1 - pace) * budget - 2


@given(
    st.integers(0, 30), st.integers(0, 8), st.integers(1, 30), st.integers(1, 8), st.integers(1, 8), st.integers(1, 6)
)
def test_ads_among_items_keep_first_and_gap_and_nothing_moves(
    others: int, ads: int, k: int, first: int, gap: int, most: int
) -> None:
    sponsored = Sponsored(placement="ads", first=first, gap=gap, most=most)
    items, banners = [f"item-{n}" for n in range(others)], [f"AD-{n}" for n in range(ads)]
    found = blended(items, banners, sponsored, k)
    positions = [at for at, one in enumerate(found, 1) if one.startswith("AD")]
    assert all(at >= first for at in positions)
    assert all(after - before > gap for before, after in itertools.pairwise(positions))
    assert len(positions) <= min(most, ads)
    assert [one for one in found if one.startswith("AD")] == banners[: len(positions)]
    assert [one for one in found if one.startswith("item")] == items[: len(found) - len(positions)]
    assert len(found) == min(k, others + len(positions))
    if ads >= most:  # as many as there is room for, found by trying
        legal = 0
        while legal < most and first + legal * (gap + 1) <= k and first + legal * (gap + 1) - 1 - legal <= others:
            legal += 1
        assert len(positions) == legal == room_for(sponsored, k, others)


def test_a_placement_of_ads_has_no_say_in_their_ranking() -> None:
    ads = {"ads": {"currency": "EUR"}, "vertical": "ads"}
    boost = {"when": {"campaign": "mine"}, "then": "boost", "factor": 2.0}
    refused = [
        ({"half_life_hours": 2}, "leave out half_life_hours"),
        ({"diversity": {"weight": 0.5}}, "leave out diversity"),
        ({"sources": [{"kind": "popular"}]}, "leave out sources"),
        ({"rules": [boost]}, "leave out rules that promote or boost"),
        ({"sponsored": {"placement": "home"}}, "leave out sponsored"),
        ({"vertical": None}, "ads are of a vertical"),
        ({"ads": {"currency": "EUR", "prior_clicks": 5, "prior_shows": 5}}, r"prior_clicks \(5\) are fewer"),
        ({"ads": {"currency": "EURO"}}, "three capital letters"),
    ]
    for changes, told in refused:
        with pytest.raises(ValueError, match=told):
            Placement.model_validate(ads | changes)
    hidden = Placement.model_validate(ads | {"rules": [{"when": {"campaign": "theirs"}, "then": "hide"}]})
    assert Placement.model_validate_json(hidden.model_dump_json()) == hidden
    assert AdsSettings(currency="EUR").reserve_micros == 1
