"""The fold-in benchmark, on few people."""

import pytest

from benchmarks.fold_in import direct_operations, measure_fold_in
from hearth.commands.bench_fold_in import show_fold_in


def test_all_three_ways_are_timed_and_held_against_the_floor(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    figures = measure_fold_in(people=40, items=60, dim=8, events=5, report=told.append, sweep_people=30)
    assert told[:2] == ["2000 people, one by one", "40 people at once"]
    assert told[3::2] == [f"a sweep over 30 people in {place}" for place in ("memory", "sqlite", "redis")]
    one, many, floor = figures["one"], figures["many"], figures["floor"]
    assert 0 < one["microseconds_least"] <= one["microseconds_median"] <= one["microseconds_p99"]
    assert many["people_per_second"] == pytest.approx(40 / many["seconds"])
    for sweep in figures["sweeps"].values():
        assert sweep["people_per_second"] == pytest.approx(30 / sweep["seconds"])
    assert floor["seconds"] == pytest.approx(40 * direct_operations(5, 8) / floor["matrix_operations_per_second"])
    assert floor["share_reached"] == pytest.approx(floor["seconds"] / many["seconds"])
    show_fold_in(figures)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{many['people_per_second']:,.0f} people/s" in shown
    assert f"30 people in redis: {figures['sweeps']['redis']['people_per_second']:,.0f} people/s" in shown


def test_the_operations_are_those_of_the_formula() -> None:
    """By hand for two items and one number: 2·1·2 + 1/3 + 5 + 2."""
    assert direct_operations(events=2, dim=1) == pytest.approx(4 + 1 / 3 + 5 + 2)
