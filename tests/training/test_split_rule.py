"""The rule of a split: which split it makes, and which combinations are none."""

import numpy as np
import pytest

from feature_store.errors import BadInput
from tests.training.test_split_global import BOUGHT_AGAIN, interactions_of
from training.split import digest, split_by_time
from training.split_global import Cuts, cuts_by_share, split_by_date
from training.split_rule import SplitRule


def test_each_rule_makes_its_split() -> None:
    interactions = interactions_of([*BOUGHT_AGAIN, (1, 1, 0.0), (1, 3, 2.5), (1, 2, 7.0)])
    assert digest(SplitRule().split(interactions, 0.3, 0.4)) == digest(split_by_time(interactions, 0.3, 0.4))
    shares = cuts_by_share(interactions, 0.2, 0.3)
    by_time = SplitRule("time", "repeat").split(interactions, 0.2, 0.3)
    assert digest(by_time) == digest(split_by_date(interactions, shares, "repeat"))
    cuts = Cuts(2.0, 5.0)
    given = SplitRule("time", "new", cuts).split(interactions, 0.2, 0.3)
    assert digest(given) == digest(split_by_date(interactions, cuts, "new"))
    assert not np.array_equal(given.train.rows, by_time.train.rows)


def test_repeats_and_points_of_time_are_for_a_split_by_time() -> None:
    with pytest.raises(BadInput, match="repeats are targets only where the split is by time; got a split by person"):
        SplitRule("person", "repeat")
    with pytest.raises(BadInput, match="points of time are given only where"):
        SplitRule("person", cuts=Cuts(1.0, 2.0))
