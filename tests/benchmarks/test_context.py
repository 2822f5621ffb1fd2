"""Whether context pays: requests of a held-out part, and the figures where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.context import judge, measure_context, requests_of, trained_on
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.context_meetings import Meetings, SplitMeetings
from training.context_settings import ContextSettings
from training.histories import Histories
from training.recency import popularity_prior
from training.settings import TrainingSettings
from training.split import Split
from training.split_log import MeetingLog

HOUR = 3600.0
CHOSEN = ContextSettings(features=("hour",), regularization=1.0)


def at(hours: list[int]) -> Meetings:
    return Meetings(np.array(hours) * HOUR, (), np.full(len(hours), -1, np.int32))


def test_a_request_is_what_one_person_met_in_one_context() -> None:
    part = Histories.of([[5, 6, 7], [], [5]])
    asked = requests_of(part, at([8, 20, 8, 8]), CHOSEN, most=10)
    found = zip(asked.clients.tolist(), asked.contexts[:, 0].tolist(), asked.wanted, strict=True)
    assert [(client, hour, rows.tolist()) for client, hour, rows in found] == [
        (0, 8, [5, 7]),
        (0, 20, [6]),
        (2, 8, [5]),
    ]
    assert len(requests_of(part, at([8, 20, 8, 8]), CHOSEN, most=2).clients) == 2


def by_the_hour(people: int = 80, items: int = 120) -> Split:
    """The first half of the items is for the morning, the second for the evening; who is there when, differs."""
    random = np.random.default_rng(4)
    parts: dict[str, list[list[int]]] = {"train": [], "valid": [], "test": []}
    hours: dict[str, list[int]] = {name: [] for name in parts}
    for person in range(people):
        early, late = random.permutation(items // 2), items // 2 + random.permutation(items // 2)
        mornings = 24 if person % 2 else 8
        for name, some, other in (
            ("train", slice(0, mornings), slice(0, 32 - mornings)),
            ("valid", slice(40, 43), slice(40, 43)),
            ("test", slice(43, 46), slice(43, 46)),
        ):
            parts[name].append([*early[some].tolist(), *late[other].tolist()])
            hours[name] += [8] * len(early[some]) + [20] * len(late[other])
    return Split(
        ItemVocabulary(str(row) for row in range(items)),
        tuple(str(person) for person in range(people)),
        **{name: Histories.of(rows) for name, rows in parts.items()},
        meetings=SplitMeetings(*(at(hours[name]) for name in parts)),
    )


def test_context_pays_where_it_is_all_that_counts_and_that_of_another_request_does_not() -> None:
    settings = TrainingSettings(dim=4, rounds=4, cohort=40, patience=0, context=CHOSEN)
    figures = measure_context(by_the_hour(), settings, [1, 2], lambda _: None)

    assert figures["requests"] == 160
    assert figures["people"] == 80
    assert figures["chosen_weight"][0] > 0
    assert list(figures["test"]) == ["without", "own", "another's"]  # this split has no log
    recall = {name: of["mean"]["recall@20"] for name, of in figures["test"].items()}
    assert recall["own"] > 1.2 * recall["without"]
    assert recall["another's"] < recall["own"] - 0.1


def test_settings_without_context_and_splits_without_times_are_refused() -> None:
    split = by_the_hour()
    bare = Split(split.vocabulary, split.user_ids, split.train, split.valid, split.test)
    for of, settings in ((split, TrainingSettings()), (bare, TrainingSettings(context=CHOSEN))):
        with pytest.raises(BadInput, match="settings with features, and a split that tells"):
            measure_context(of, settings, [1], lambda _: None)


def test_beside_what_was_met_lately_the_context_is_judged_too() -> None:
    """Lately everybody met the first six items of the evening, which is what the prior knows and the hour does not."""
    split = by_the_hour()
    log = MeetingLog(np.arange(80, dtype=np.int32), np.arange(80, dtype=np.int32) % 6 + 60, np.zeros(80))
    settings = TrainingSettings(dim=4, rounds=2, cohort=40, patience=0, context=CHOSEN)
    run, vectors, trained = trained_on(split, settings, 1)
    asked = requests_of(split.test, split.meetings.test, CHOSEN, 200)  # type: ignore[union-attr]  # it has some
    prior = np.float32(100) * popularity_prior(log, 120, 1.0)
    plain, lately = (
        judge(run, vectors, trained.query_tower, asked, (split.train, split.valid), 0.0, added)["recall@20"]
        for added in (np.zeros(120, np.float32), prior)
    )
    of_prior = np.mean([np.isin(rows, np.arange(60, 66)).mean() for rows in asked.wanted])
    assert lately >= of_prior  # all six stand above all else
    assert lately != plain

    figures = measure_context(replace(split, log=log), settings, [1], lambda _: None)
    assert list(figures["test"]) == ["without", "own", "another's", "recency", "recency + own"]
    assert len(figures["valid"]) == len(figures["chosen_weight"]) == 2
