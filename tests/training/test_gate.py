"""The gate: a pure function of figures, held against what it promises."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.evaluation import Quality
from training.gate import GateSettings, Metric, decide

SHARES = st.floats(0, 1, allow_nan=False)
QUALITIES = st.builds(Quality, recall=SHARES, ndcg=SHARES, hr_10=SHARES, coverage=SHARES, users=st.integers(1, 5000))
SETTINGS = st.builds(
    GateSettings,
    metric=st.sampled_from(["ndcg@20", "recall@20", "hr@10"]),
    tolerance=st.floats(0, 0.99),
    least_coverage=SHARES,
    least_people=st.integers(2, 5000),
    first=st.booleans(),
)
FIELDS: dict[Metric, str] = {"ndcg@20": "ndcg", "recall@20": "recall", "hr@10": "hr_10"}
GOOD = Quality(recall=0.3, ndcg=0.4, hr_10=0.5, coverage=0.6, users=200)


@given(SETTINGS, QUALITIES, QUALITIES)
def test_a_candidate_is_promoted_when_metric_coverage_and_people_all_suffice(
    settings: GateSettings, candidate: Quality, production: Quality
) -> None:
    field = FIELDS[settings.metric]
    expected = (
        candidate.users >= settings.least_people
        and getattr(candidate, field) >= getattr(production, field) * (1 - settings.tolerance)
        and candidate.coverage >= production.coverage * settings.least_coverage
    )
    decision = decide(settings, candidate, production)
    assert (decision.promotes, decision.opponent) == (expected, "production")
    assert all(check.passes for check in decision.checks) == expected


@given(SETTINGS, QUALITIES, QUALITIES, SHARES)
def test_a_better_candidate_never_fares_worse(
    settings: GateSettings, candidate: Quality, production: Quality, better: float
) -> None:
    field = FIELDS[settings.metric]
    improved = replace(candidate, **{field: max(better, getattr(candidate, field))})
    assert decide(settings, improved, production).promotes >= decide(settings, candidate, production).promotes


@given(SETTINGS, QUALITIES)
def test_the_same_model_again_passes_where_enough_people_judge(settings: GateSettings, quality: Quality) -> None:
    assert decide(settings, quality, quality).promotes == (quality.users >= settings.least_people)


@given(SETTINGS, QUALITIES, QUALITIES)
def test_the_first_model_has_to_be_better_than_popularity_unless_it_is_to_be_promoted_as_it_is(
    settings: GateSettings, candidate: Quality, popularity: Quality
) -> None:
    field = FIELDS[settings.metric]
    is_better = getattr(candidate, field) > getattr(popularity, field)
    decision = decide(settings, candidate, None, popularity)
    assert decision.promotes == (settings.first or (is_better and candidate.users >= settings.least_people))
    assert decision.opponent == "popularity"


@given(QUALITIES, QUALITIES)
def test_what_the_first_is_allowed_a_later_one_is_not(candidate: Quality, production: Quality) -> None:
    settings = GateSettings(first=True, least_people=2)
    assert decide(settings, candidate, production) == decide(
        settings.model_copy(update={"first": False}), candidate, production
    )


def test_where_nobody_can_be_judged_production_is_kept_and_a_first_model_is_not_promoted() -> None:
    assert not decide(GateSettings(), None, None).promotes
    assert not decide(GateSettings(), None, GOOD).promotes
    assert decide(GateSettings(), None, None).why == "there are no held-out items to judge by"


def test_the_reason_names_both_sides_of_each_check_that_fails() -> None:
    poor = replace(GOOD, ndcg=0.2, coverage=0.3)
    decision = decide(GateSettings(tolerance=0.25, least_coverage=0.75), poor, GOOD)
    assert decision.why == "ndcg@20 is 0.2, and 0.3 is needed; coverage@20 is 0.3, and 0.45 is needed"


@pytest.mark.parametrize(
    "setting", [{"tolerance": 1.0}, {"tolerance": -0.1}, {"least_people": 1}, {"metric": "mrr"}, {"least_coverage": 2}]
)
def test_settings_that_would_let_anything_pass_are_none(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GateSettings.model_validate(setting)
