"""`hearth bench social`: the pipeline that it measures, on a world with a known answer and on Last.fm."""

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.social import measure_social
from feature_store.social_graph import Tie
from feature_store.social_graph_import import read_ties
from hearth.social_lists import social_lists
from tests.benchmarks.test_social import interactions_of
from training.interactions import read_interactions
from training.settings import TrainingSettings

CIRCLES, MEMBERS, THEIRS = 20, 4, 12  # of each circle, people and items
SETTINGS = TrainingSettings(dim=4, rounds=3, cohort=CIRCLES * MEMBERS, patience=0)


def met() -> list[list[int]]:
    """Ten of the twelve items of the circle of each person; person n is of circle n mod 20."""
    rng = np.random.default_rng(1)
    return [
        (rng.permutation(THEIRS)[:10] + THEIRS * (person % CIRCLES)).tolist() for person in range(CIRCLES * MEMBERS)
    ]


def friends(circle_of: Sequence[int]) -> list[Tie]:
    return [
        Tie("friend", f"person-{one}", f"person-{other}")
        for one, other in combinations(range(CIRCLES * MEMBERS), 2)
        if circle_of[one] == circle_of[other]
    ]


def measured(ties: Sequence[Tie]) -> dict[str, Any]:
    interactions = interactions_of(met(), CIRCLES * THEIRS)
    return measure_social(interactions, ties, SETTINGS, [1], social_lists, lambda _: None, most=20)


def test_where_friends_share_a_taste_that_a_small_model_cannot_hold_the_graph_finds_what_it_does_not() -> None:
    found = measured(friends([person % CIRCLES for person in range(CIRCLES * MEMBERS)]))
    assert found["chosen"] != {"share": 0.0, "weight": 0.0}
    for known in ("1", "3"):
        gain = found["test"][known]["recall_gain"]
        assert gain["mean"] > 3 * gain["standard_error"] > 0
        assert found["test"][known]["graph"]["recall@20"] > 0.9


def test_friends_drawn_at_random_find_nothing_more() -> None:
    drawn = np.random.default_rng(5).permutation(CIRCLES * MEMBERS) % CIRCLES
    for of in measured(friends(drawn.tolist()))["test"].values():
        assert of["recall_gain"]["mean"] < 0.05


@pytest.mark.slow
def test_on_lastfm_lists_are_better_with_friends_most_of_all_where_little_is_known() -> None:
    if "HEARTH_DATA" not in os.environ:
        pytest.skip("HEARTH_DATA does not name the folder of the real data sets")
    data = Path(os.environ["HEARTH_DATA"]) / "lastfm_2k"
    interactions = read_interactions(data / "interactions.csv.gz", events=["listen"])
    ties = list(read_ties(data / "edges.csv.gz", "friend"))
    settings = TrainingSettings(dim=64, rounds=25, cohort=473, patience=0)
    found = measure_social(interactions, ties, settings, [1], social_lists, lambda _: None, most=100)
    assert found["chosen"]["weight"] > 0
    for of in found["test"].values():
        assert of["ndcg_gain"]["mean"] > 2 * of["ndcg_gain"]["standard_error"]
    little = found["test"]["1"]
    assert little["recall_gain"]["mean"] > 0.1 * little["alone"]["recall@20"]
    assert found["test"]["3"]["recall_gain"]["mean"] > 2 * found["test"]["3"]["recall_gain"]["standard_error"]
