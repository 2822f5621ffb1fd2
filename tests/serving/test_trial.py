"""Trials, assignment, experiments and attribution, as values."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.assignment import fraction, part_of
from serving.attribution import Attribution, Origin
from serving.experiments import Experiment
from serving.trial import Tally, Trial, TrialSettings, clicked_less

PEOPLE = [f"person-{number}" for number in range(20_000)]


def test_people_fall_into_parts_by_their_shares_and_stay_there() -> None:
    shares = {"a": 0.2, "b": 0.5}
    parts = [part_of("salt", person, shares) for person in PEOPLE]
    assert parts == [part_of("salt", person, shares) for person in PEOPLE]
    for name, share in (("a", 0.2), ("b", 0.5), (None, 0.3)):
        deviation = math.sqrt(share * (1 - share) / len(PEOPLE))
        assert abs(parts.count(name) / len(PEOPLE) - share) < 5 * deviation


def test_another_salt_divides_people_independently() -> None:
    both = sum(fraction("one", person) < 0.5 and fraction("two", person) < 0.5 for person in PEOPLE)
    assert abs(both / len(PEOPLE) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(PEOPLE))


def test_more_people_are_tried_on_without_anybody_leaving() -> None:
    small = Trial("r2", TrialSettings(share=0.05))
    large = Trial("r2", TrialSettings(share=0.2))
    tried = {person for person in PEOPLE if small.answers(person)}
    assert 0.04 < len(tried) / len(PEOPLE) < 0.06
    assert all(large.answers(person) for person in tried)
    small.stopped = "enough"
    assert not any(small.answers(person) or small.compares(person) for person in PEOPLE)


@pytest.mark.parametrize(
    ("requests", "failures", "told"), [(99, 99, False), (100, 1, False), (100, 2, True), (1000, 10, False)]
)
def test_failures_stop_a_trial_once_there_are_enough_answers(requests: int, failures: int, told: bool) -> None:  # noqa: FBT001 - a case
    trial = Trial("r2", TrialSettings(), theirs=Tally(requests=requests, failures=failures))
    assert (trial.verdict() is not None) == told
    if told:
        assert trial.verdict() == "2 of 100 answers failed; at most 1.0% may"


def test_fewer_clicks_stop_a_trial_where_chance_would_hardly_do_that() -> None:
    production = Tally(shows=10_000, clicks=500)
    for clicks, stops in ((50, False), (38, False), (25, True), (0, True)):
        trial = Trial("r2", TrialSettings(), theirs=Tally(shows=1000, clicks=clicks), production=production)
        assert (trial.verdict() is not None) == stops, clicks
    few = Trial("r2", TrialSettings(), theirs=Tally(shows=1000), production=Tally(shows=900, clicks=49))
    assert few.verdict() is None


def test_a_trial_counts_its_own_model_and_the_one_in_production_now_and_no_other() -> None:
    trial = Trial("r2", TrialSettings())
    assert trial.tally("r2", "r1") is trial.theirs
    first = trial.tally("r1", "r1")
    assert first is not None
    first.shows = 5
    assert trial.tally("r1", "r1") is first is trial.production
    assert [trial.tally(*ids) for ids in (("r0", "r1"), ("r1", None), ("r1", "r3"))] == [None, None, None]
    assert trial.production.shows == 5
    assert trial.tally("r3", "r3") is trial.production
    assert trial.production.shows == 0


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(1, 5000), st.integers(0, 5000))
def test_what_is_clicked_as_often_is_never_less(shows: int, clicks: int, more: int, others: int) -> None:
    theirs, production = Tally(shows=shows, clicks=min(clicks, shows)), Tally(shows=more, clicks=min(others, more))
    if theirs.clicks * production.shows >= production.clicks * theirs.shows and theirs.clicks > 0:
        assert not clicked_less(theirs, production, 0.9)
    assert not clicked_less(theirs, theirs, 1.0)


def test_guardrails_let_chance_pass_in_about_one_of_forty_trials() -> None:
    random = np.random.default_rng(5)
    stopped = sum(
        clicked_less(
            Tally(shows=2000, clicks=int(random.binomial(2000, 0.045))),
            Tally(shows=20_000, clicks=int(random.binomial(20_000, 0.05))),
            0.9,
        )
        for _ in range(4000)
    )
    assert stopped / 4000 < 0.04  # at exactly the ratio, where 2.5 % is what 1.96 means


def test_an_arm_is_where_the_hash_or_the_client_says() -> None:
    experiment = Experiment.model_validate(
        {"placement": "home", "arms": {"control": {"share": 0.5}, "new": {"share": 0.25, "placement": "home-new"}}}
    )
    arms = [experiment.arm("test", person) for person in PEOPLE]
    assert {name: round(arms.count(name) / len(PEOPLE), 1) for name in (None, "control", "new")} == pytest.approx(
        {None: 0.2, "control": 0.5, "new": 0.2}, abs=0.1
    )
    assert [experiment.arm("test", "anna", asked_for=name) for name in ("new", "control", "none")] == [
        "new",
        "control",
        None,
    ]
    with pytest.raises(ValidationError, match="more than everybody"):
        Experiment.model_validate({"placement": "home", "arms": {"a": {"share": 0.6}, "b": {"share": 0.6}}})


def test_replies_are_remembered_for_a_while_and_not_without_end() -> None:
    attribution = Attribution(kept_seconds=10.0, most=3)
    for number in range(4):
        attribution.remember(f"{number}", Origin("home", f"r{number}"), ["heat"], now=float(number))
    assert [attribution.count(f"{number}", "heat", "shown", 4.0) for number in range(4)] == [
        None,
        *(Origin("home", f"r{number}") for number in range(1, 4)),
    ]
    assert attribution.count("2", "heat", "clicked", 12.0) is None
    attribution.remember("late", Origin("home", "r9"), ["heat"], now=12.5)
    assert len(attribution) == 2


def test_of_many_replies_the_oldest_go_in_parts() -> None:
    attribution = Attribution(kept_seconds=10_000.0, most=1000)
    for number in range(5000):
        attribution.remember(f"{number}", Origin("home", "r1"), ["heat"], now=float(number))
        assert number < 1000 or 1000 - 16 <= len(attribution) <= 1000
    known = [attribution.knows(f"{number}", 5000.0) for number in range(5000)]
    assert known == [number >= 5000 - len(attribution) for number in range(5000)]


def test_the_collector_has_nothing_to_go_through_for_replies() -> None:
    attribution = Attribution()
    held = tuple(f"item-{number}" for number in range(10))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(5000):
        attribution.remember(f"{number}", Origin("home", "r1", "price/low"), held, now=0.0, ads=held[:2])
        attribution.count(f"{number}", "item-3", "clicked", 1.0)
    assert attribution.count("17", "item-2", "shown", 1.0) == Origin("home", "r1", "price/low")
    gc.collect()
    assert len(gc.get_objects()) - before < 500


def test_a_reply_tells_which_of_its_items_were_ads_as_long_as_it_is_remembered() -> None:
    attribution = Attribution(kept_seconds=10.0)
    attribution.remember("one", Origin("home", "r1"), ["heat", "tea", "ran", "milk"], now=0.0, ads={"tea", "milk"})
    asked = ("heat", "tea", "ran", "milk", "coffee")
    assert [attribution.was_ad("one", item, 9.0) for item in asked] == [False, True, False, True, None]
    assert attribution.was_ad("one", "tea", 10.0) is attribution.was_ad("two", "tea", 9.0) is None


def test_long_replies_are_remembered_as_long_as_there_is_room() -> None:
    """Ids of a thousand letters, and room for five of them and what is beside them."""

    def items(count: int) -> list[str]:
        return [str(number) * 1000 for number in range(count)]

    attribution = Attribution(most_bytes=5500)
    for name, count in (("first", 3), ("second", 2), ("third", 2)):
        attribution.remember(name, Origin("home", "r1"), items(count), now=0.0)
    known = [attribution.count(name, "0" * 1000, "shown", 1.0) is not None for name in ("first", "second", "third")]
    assert known == [False, True, True]
    attribution.remember("whole", Origin("home", "r1"), items(6), now=2.0)
    assert len(attribution) == 0
    attribution.remember("fourth", Origin("home", "r1"), items(5), now=2.0)
    assert len(attribution) == 1


def test_few_replies_are_forgotten_soon_after_their_time() -> None:
    attribution = Attribution(kept_seconds=3600.0)
    for number in range(2880):  # one in half a minute, for a day
        attribution.remember(f"{number}", Origin("home", "r1"), ["heat"], now=30.0 * number)
    assert 120 <= len(attribution) <= 124


@given(st.lists(st.tuples(st.sampled_from(["one", "two", "none"]), st.integers(0, 8), st.booleans())))
def test_each_item_of_a_reply_counts_once_as_shown_and_once_as_clicked(sent: list[tuple[str, int, bool]]) -> None:
    attribution = Attribution()
    held = {"one": range(5), "two": range(3, 7), "none": range(0)}
    for name in ("one", "two"):
        attribution.remember(name, Origin("home", name), map(str, held[name]), now=0.0)
    counted = set()
    for reply, item, is_click in sent:
        origin = attribution.count(reply, f"{item}", "clicked" if is_click else "shown", 1.0)
        expected = item in held[reply] and (reply, item, is_click) not in counted
        assert origin == (Origin("home", reply) if expected else None)
        counted.add((reply, item, is_click))
