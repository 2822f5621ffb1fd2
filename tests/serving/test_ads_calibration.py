"""Calibration: against its definitions, on worlds whose click rates are known, and on ties and single clicks."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput, MalformedLine
from serving.ads.calibrating import calibrated
from serving.ads.calibration import LEAST, Calibration, fit, isotonic, read_calibration
from serving.ads.impressions import Impressions, rates_so_far, read_impressions
from serving.ads.reliability import reliability

logged = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=25
)


@given(logged)
def test_isotonic_is_the_rising_function_that_the_max_min_formula_gives(rows: list[tuple[int, bool, float]]) -> None:
    """Barlow et al. 1972, theorem 1.4: f(s) is the max over a <= s of the min over b >= s of the mean on [a, b]."""
    scores = np.array([float(score) for score, _, _ in rows])
    clicks, looks = np.array([float(click) for _, click, _ in rows]), np.array([look for _, _, look in rows])
    knots, rates = isotonic(scores, clicks, looks)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(rates) >= 0).all()
    distinct = sorted(set(scores.tolist()))
    of_blocks = set()
    for score in distinct:
        means = [
            [
                clicks[(scores >= a) & (scores <= b)].sum() / looks[(scores >= a) & (scores <= b)].sum()
                for b in distinct
                if b >= score
            ]
            for a in distinct
            if a <= score
        ]
        of_blocks.add(round(min(1.0, max(map(min, means))), 9))
    assert sorted(of_blocks) == pytest.approx(sorted({round(rate, 9) for rate in rates.tolist()}))


def world(seed: int, n: int, positions: dict[int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, positions, clicks, and the true click rate at the first position: logistic in the score."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.0, n)
    truth = 1 / (1 + np.exp(-(0.8 * scores - 2.0)))
    at = rng.choice(list(positions), n).astype(np.int32)
    looked = np.array([positions[one] for one in at.tolist()])
    return scores, at, rng.random(n) < truth * looked, truth


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_true_click_rates_and_what_positions_take_from_them_are_found(method: str) -> None:
    scores, at, clicked, truth = world(3, 60_000, {1: 1.0, 2: 0.6, 3: 0.3})
    found = fit(scores, at, clicked, method, "model", 7.0)  # type: ignore[arg-type]  # one of the two
    assert np.abs(found.click_rates(scores) - truth).mean() < 0.01
    assert found.positions[1] == 1.0
    assert found.positions[2] == pytest.approx(0.6, abs=0.03)
    assert found.positions[3] == pytest.approx(0.3, abs=0.03)
    assert found.examined(np.array([2, 9], np.int32)).tolist() == [found.positions[2], 1.0]
    assert (found.impressions, found.clicks, found.until) == (60_000, clicked.sum(), 7.0)
    if method == "platt":
        assert (found.slope, found.intercept) == (pytest.approx(0.8, abs=0.03), pytest.approx(-2.0, abs=0.05))


def test_no_other_logistic_curve_makes_the_log_likelier() -> None:
    scores, at, clicked, _ = world(4, 3000, {1: 1.0, 2: 0.4})
    found = fit(scores, at, clicked, "platt", "model", None)
    targets = np.where(clicked, (clicked.sum() + 1) / (clicked.sum() + 2), 1 / ((~clicked).sum() + 2))

    def likelihood(slope: float, intercept: float) -> float:
        p = found.examined(at) / (1 + np.exp(-(slope * scores + intercept)))
        return float((targets * np.log(p) + (1 - targets) * np.log1p(-p)).sum())

    best = likelihood(found.slope, found.intercept)
    for slope, intercept in ((0.003, 0), (-0.003, 0), (0, 0.003), (0, -0.003), (0.003, -0.003), (-0.003, 0.003)):
        assert best > likelihood(found.slope + slope, found.intercept + intercept)


@given(logged, st.sampled_from(["isotonic", "platt"]))
def test_a_higher_score_never_foretells_fewer_clicks_and_nothing_is_impossible(
    rows: list[tuple[int, bool, float]], method: str
) -> None:
    scores = np.array([float(score) for score, _, _ in rows])
    clicked = np.array([click for _, click, _ in rows])
    positions = np.array([1 + int(look) for _, _, look in rows], np.int32)
    found = fit(scores, positions, clicked, method, "rate", None)  # type: ignore[arg-type]  # one of the two
    rates = found.click_rates(np.linspace(-10, 10, 50))
    assert (np.diff(rates) >= 0).all()
    assert ((rates >= LEAST) & (rates < 1)).all()
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_where_a_score_foretells_the_opposite_a_logistic_curve_is_flat() -> None:
    scores = np.repeat([0.0, 1.0], 100)
    clicked = np.arange(200) % 100 < np.where(scores == 0, 40, 10)
    found = fit(scores, np.ones(200, np.int32), clicked, "platt", "model", None)
    assert found.slope == 0
    assert found.click_rates(scores) == pytest.approx(np.full(200, 0.25), abs=0.01)


def test_what_cannot_be_fitted_is_refused() -> None:
    one = np.ones(1, np.int32)
    for scores in (np.empty(0), np.array([np.nan]), np.zeros(2)):
        with pytest.raises(BadInput, match="finite scores"):
            fit(scores, one[: len(scores)], np.ones(len(scores[:1]), np.bool_), "platt", "model", None)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=40), st.integers(1, 12))
def test_the_calibration_error_and_the_log_loss_are_those_of_their_definitions(
    rows: list[tuple[float, bool]], bins: int
) -> None:
    foreseen, clicked = np.array([p for p, _ in rows]), np.array([c for _, c in rows])
    found = reliability(foreseen, clicked, bins)
    assert len(found.bins) <= bins
    assert sum(one.impressions for one in found.bins) == len(rows)
    ordered = sorted(rows)
    start, error = 0, 0.0
    for one in found.bins:  # bins are runs of the impressions in the order of what was foreseen
        run = ordered[start : start + one.impressions]
        start += one.impressions
        assert start == len(rows) or run[-1][0] < ordered[start][0]  # equal ones are never parted
        error += abs(sum(p for p, _ in run) - sum(c for _, c in run)) / len(rows)
    assert found.error == pytest.approx(error)
    assert found.log_loss == pytest.approx(-np.mean([np.log(p if c else 1 - p) for p, c in rows]))


def test_rates_so_far_look_back_only() -> None:
    ad = np.array([0, 1, 0, 0, 1], np.int32)
    clicked = np.array([True, False, False, True, True])
    impressions = Impressions(("a", "b"), ad, np.arange(5.0), np.ones(5, np.int32), clicked, None)
    assert rates_so_far(impressions, 1.0, 4.0).tolist() == [1 / 4, 1 / 4, 2 / 5, 2 / 6, 1 / 5]


def test_a_calibration_is_judged_on_later_impressions_and_mends_scores_that_are_off() -> None:
    scores, at, clicked, _ = world(5, 20_000, {1: 1.0})
    impressions = Impressions(("a",), np.zeros(20_000, np.int32), np.arange(20_000.0), at, clicked, scores)
    for method in ("isotonic", "platt"):
        found = calibrated(impressions, method, 0.5, 1.0, 100.0)  # type: ignore[arg-type]  # one of the two
        assert (found.fitted, found.judged, found.calibration.until) == (10_000, 10_000, 9_999.0)
        assert found.after.error < 0.02 < found.before.error
        assert found.after.log_loss < min(found.before.log_loss, found.base.log_loss) - 0.05
    silent = Impressions(("a",), np.zeros(4, np.int32), np.arange(4.0), np.ones(4, np.int32), np.arange(4) > 2, None)
    with pytest.raises(BadInput, match="the first 2 impressions have no click"):
        calibrated(silent, "platt", 0.5, 1.0, 100.0)
    with pytest.raises(BadInput, match=r"0\.1 of 4 impressions leaves a part without any"):
        calibrated(silent, "platt", 0.1, 1.0, 100.0)


def test_impressions_are_read_in_the_order_of_time_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("item_id,clicked,timestamp,guess,position\nb,1,20,0.5,2\na,0,10,-1,1\nb,0,30,2,1\n")
    found = read_impressions(path, "guess")
    assert [found.ads[code] for code in found.ad] == ["a", "b", "b"]
    assert (found.times.tolist(), found.positions.tolist()) == ([10, 20, 30], [1, 2, 1])
    assert found.clicked.tolist() == [False, True, False]
    assert found.scores is not None
    assert found.scores.tolist() == [-1, 0.5, 2]
    plain = read_impressions(path)
    assert plain.scores is None
    for line, told in (("a,2,1,1,1", "clicked is 0 or 1"), ("a,1,x,1,1", "timestamp is"), ("a,1,1,1,0", "from 1")):
        path.write_text(f"item_id,clicked,timestamp,guess,position\n{line}\n")
        with pytest.raises(MalformedLine, match=f"line 2: .*{told}"):
            read_impressions(path, "guess")
    path.write_text("item_id,clicked,timestamp\n")
    with pytest.raises(BadInput, match="has no impressions"):
        read_impressions(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ('"knots": [1, 1], "rates": [0.1, 0.2]', "knots rise"),
        ('"knots": [1, 2], "rates": [0.2, 0.1]', "rates never fall"),
        ('"knots": [1], "rates": []', "a rate for each knot; got 0 for 1"),
        ('"knots": [1], "rates": [2]', r"rates\.0"),
        ('"knots": [1], "rates": [0.5], "colour": 1', "colour"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_by_name(tmp_path: Path, changes: str, told: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(f'{{"method": "isotonic", "of": "rate", {changes}}}')
    with pytest.raises(BadInput, match=rf"calibration\.json is no calibration: .*{told}"):
        read_calibration(path)
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_calibration(tmp_path / "none.json")


def test_what_is_no_regular_file_is_refused_at_once_and_by_name(tmp_path: Path) -> None:
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for path in (fifo, folder, Path(os.devnull)):
        with pytest.raises(BadInput, match=f"calibration.*{path} is not a regular file"):
            read_calibration(path)
