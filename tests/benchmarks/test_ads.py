"""The off-policy estimates, on a world whose truth is known; and the figures of the real log."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ads import BanditLog, chances_of_ours, measure_ads, read_bandit_log
from benchmarks.off_policy import off_policy, on_policy
from feature_store.errors import BadInput
from hearth.ad_rates import calibration_figures, click_rates_at_the_cut

RATES = np.array([0.02, 0.05, 0.10, 0.30])
LOGGED = np.array([0.4, 0.3, 0.2, 0.1])
OURS = np.array([0.1, 0.1, 0.2, 0.6])


def test_the_estimates_find_what_another_policy_would_have_earned() -> None:
    rng = np.random.default_rng(2)
    inside = {"ips": 0, "snips": 0}
    truth = float(RATES @ OURS)
    for _ in range(200):
        shown = rng.choice(4, 2000, p=LOGGED)
        clicked = rng.random(2000) < RATES[shown]
        found = off_policy(clicked, LOGGED[shown], OURS[shown])
        for name in inside:
            estimate = getattr(found, name)
            inside[name] += estimate.low <= truth <= estimate.high
            assert estimate.value == pytest.approx(truth, abs=0.09)
        assert found.weight == pytest.approx(1, abs=0.2)
    assert all(180 <= times <= 199 for times in inside.values()), inside  # 95 %


def test_the_estimates_by_hand() -> None:
    found = off_policy(np.array([True, False, True]), np.array([0.5, 0.25, 0.5]), np.array([0.25, 0.5, 0.0]))
    assert found.ips.value == pytest.approx(0.5 / 3)
    assert found.snips.value == pytest.approx(0.5 / 2.5)
    assert (found.weight, found.sample, found.rewards) == (pytest.approx(2.5 / 3), pytest.approx(6.25 / 4.25), 1)
    assert on_policy(np.array([True, False])).value == 0.5
    never = off_policy(np.array([True, True]), np.ones(2), np.zeros(2))
    assert (never.ips.value, never.sample, np.isnan(never.snips.value)) == (0.0, 0.0, True)


@pytest.mark.parametrize(
    ("logged", "ours", "told"),
    [([0.0, 1.0], [0.5, 0.5], "above 0"), ([0.5, 1.5], [0.5, 0.5], "above 0"), ([1.0], [1.0], "two impressions")],
)
def test_chances_that_are_none_are_refused(logged: list[float], ours: list[float], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        off_policy(np.ones(len(logged), np.bool_), np.array(logged), np.array(ours))


def small_log() -> BanditLog:
    """Two campaigns of four ads each; in both, click rates rise with the ad's number."""
    rng = np.random.default_rng(1)
    n = 40_000
    ad = rng.integers(0, 8, n).astype(np.int32)
    return BanditLog(
        tuple(f"ad-{code}" for code in range(8)),
        ad,
        np.arange(n, dtype=np.float64),
        rng.integers(1, 4, n).astype(np.int32),
        rng.random(n) < RATES[ad % 4],
        ("random",),
        np.zeros(n, np.int32),
        ("a", "b"),
        (ad >= 4).astype(np.int32),
        np.full(n, 0.25),
    )


@pytest.mark.parametrize("participation", [1.0, 0.5, 0.2])
def test_the_chances_of_our_policy_are_those_of_all_ways_that_ads_can_take_part(participation: float) -> None:
    log = small_log()
    found = chances_of_ours(log, np.array([0.1, 0.4, 0.2, 0.4, 9, 9, 9, 9]), participation)
    order = [1, 3, 2, 0]
    expected = np.zeros((8, 4))
    for present in itertools.product([True, False], repeat=4):
        chance = np.prod([participation if one else 1 - participation for one in present])
        listed = [ad for ad, one in zip(order, present, strict=True) if one]
        for position, ad in enumerate(listed[:3], 1):
            expected[ad, position] += chance
    here = log.campaign == 0
    assert found[here] == pytest.approx(expected[log.ad[here], log.positions[here]])


def test_a_log_where_some_ads_are_better_shows_that_ours_earns_more() -> None:
    log = small_log()
    rates = click_rates_at_the_cut(log)
    assert [np.argsort(of_page).tolist() for of_page in (rates[:4], rates[4:])] == [[0, 1, 2, 3]] * 2
    figures = measure_ads(log, rates, calibration_figures(log, lambda _: None))
    of_random = figures["policies"]["random"]
    assert figures["data"]["fitted"] == 28_000
    assert of_random["impressions"] == 12_000
    ours = of_random["ours"]["1"]
    assert ours["snips"]["low"] > of_random["logged"]["value"]
    assert figures["calibration"]["isotonic"]["log_loss"] < figures["calibration"]["one rate for all"]["log_loss"]
    json.dumps(figures)


def test_a_log_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "item_id,timestamp,clicked,position,propensity,policy,campaign\nb,9,1,2,0.5,bts,all\na,3,0,1,0.25,random,men\n"
    )
    log = read_bandit_log(path)
    assert [log.ads[code] for code in log.ad] == ["a", "b"]
    assert [log.policies[code] for code in log.policy] == ["random", "bts"]
    assert (log.chances.tolist(), log.clicked.tolist()) == ([0.25, 0.5], [False, True])
    path.write_text("item_id,timestamp,clicked,position,propensity,policy,campaign\n")
    with pytest.raises(BadInput, match="has no impressions"):
        read_bandit_log(path)


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="HEARTH_DATA does not name the data sets")
def test_on_the_open_bandit_log_calibration_mends_click_rates_and_ours_is_not_told_apart_from_the_logged() -> None:
    log = read_bandit_log(Path(os.environ["HEARTH_DATA"]) / "open_bandit" / "impressions.csv.gz")
    figures = measure_ads(log, click_rates_at_the_cut(log), calibration_figures(log, lambda _: None))
    assert figures["data"] == {
        "impressions": 60_000,
        "clicks": 287,
        "fitted": 42_000,
        "judged": 18_000,
        "judged_clicks": 93,
    }
    found = figures["calibration"]
    for method in ("isotonic", "platt"):
        assert found[method]["calibration_error"] < 0.6 * found["each ad's own"]["calibration_error"]
        assert found[method]["log_loss"] < found["each ad's own"]["log_loss"]
    # 93 clicks do not tell policies apart: the honest answer is an interval that holds what was logged.
    random = figures["policies"]["random"]
    assert random["logged"]["value"] == pytest.approx(0.0051, abs=0.0001)
    for ours in random["ours"].values():
        assert ours["snips"]["low"] < random["logged"]["value"] < ours["snips"]["high"]
        assert 0.8 < ours["mean_weight"] < 1.2  # our chances and the logged ones belong together
