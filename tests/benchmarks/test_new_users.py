"""The table of new users."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.new_users import HELD_SHARE, KNOWN, hold_people_out, measure_new_users
from feature_store.errors import BadInput
from tests.training.worlds import checkerboard
from training.settings import TrainingSettings
from training.split_folder import read_split_folder

SETTINGS = TrainingSettings(dim=8, rounds=8, cohort=24, patience=0)


def test_people_held_out_are_in_no_part_of_the_training_and_nobody_else_is_judged() -> None:
    split = checkerboard()

    trained, new = hold_people_out(split, seed=1)

    held = np.flatnonzero(new.test.lengths)
    assert len(held) == int(HELD_SHARE * 60)
    for person in range(60):
        of_new, of_trained = (new, trained) if person in held else (trained, new)
        for name in ("train", "valid", "test"):
            assert getattr(of_new, name)[person].tolist() == getattr(split, name)[person].tolist()
            assert getattr(of_trained, name)[person].tolist() == []


def test_each_seed_holds_out_other_people_and_the_same_seed_the_same() -> None:
    lengths = [hold_people_out(checkerboard(), seed).new.test.lengths.tolist() for seed in (1, 1, 2)]

    assert lengths[0] == lengths[1] != lengths[2]


def test_too_few_people_to_hold_any_out_is_said() -> None:
    with pytest.raises(BadInput, match=r"a share of 0\.2 of the 4 people"):
        hold_people_out(checkerboard(people=4), seed=1)


def test_the_table_on_a_checkerboard() -> None:
    """One item tells the taste; then all twenty of the other taste are wrong, which popularity never learns."""
    figures = measure_new_users(checkerboard(items=60), SETTINGS, [1, 2], lambda _: None)

    for ranking in ("rest_left_out", "as_served"):
        rows = figures[ranking]
        assert list(rows) == [*map(str, KNOWN), "all"]
        for row in rows.values():
            assert row["blended"]["ndcg@20"]["mean"] > row["popular"]["ndcg@20"]["mean"]
    assert figures["below_popularity"] == []
    # Of the 30 items of a taste 12 are trained on and 2 validate: 16 remain, so all test items fit into the top 20.
    assert figures["rest_left_out"]["all"]["personal"]["recall@20"]["mean"] > 0.95
    # Popularity is never told more by what is known of somebody, while the items in its way are left out alike.
    popular = [row["popular"]["ndcg@20"]["mean"] for row in figures["rest_left_out"].values()]
    assert len(set(popular)) == 1


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="needs the data sets of HEARTH_DATA")
def test_new_users_of_movielens_1m_are_never_served_worse_than_popularity() -> None:
    split = read_split_folder(Path(os.environ["HEARTH_DATA"]) / "split_ml1m")
    settings = TrainingSettings(dim=64, rounds=40, cohort=480, patience=0)

    figures = measure_new_users(split, settings, [1], lambda _: None)

    assert figures["below_popularity"] == []
    rows = figures["rest_left_out"]
    assert rows["all"]["blended"]["ndcg@20"]["mean"] > 0.35
    assert rows["3"]["blended"]["ndcg@20"]["mean"] > rows["3"]["personal"]["ndcg@20"]["mean"] + 0.02
