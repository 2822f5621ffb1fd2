"""Category-popularity: what it ranks first can be counted by hand."""

import numpy as np

from benchmarks.category_popularity import at_random, category_popularity, category_rate
from training.histories import Histories

# items 0-3 tea, 4-5 milk, 6 tea and milk, 7 bread, 8 new tea, 9 new milk, 10 new of both, 11 new bread, 12 of none
CATEGORIES = [("tea",)] * 4 + [("milk",)] * 2 + [("tea", "milk"), ("bread",), ("tea",), ("milk",)]
CATEGORIES += [("tea", "milk"), ("bread",), ()]
NEW = np.array([8, 9, 10, 11, 12], np.int32)
TRAIN = Histories.of([[0, 1, 4], [4, 5], [], [7, 2, 3]])


def order(scores: np.ndarray) -> list[int]:
    return [int(row) for row in NEW[np.argsort(-scores)]]


def test_a_person_sees_first_what_they_met_most_of_and_then_what_everybody_did() -> None:
    scores = category_popularity(TRAIN, CATEGORIES, NEW, seed=1)(np.arange(3))
    assert order(scores[0]) == [8, 10, 9, 11, 12]  # two teas and one milk; the item of both has their mean
    assert order(scores[1]) == [9, 10, 8, 11, 12]
    assert order(scores[2]) == [8, 10, 9, 11, 12]  # of nobody's own: four teas, three milks, one bread


def test_the_rate_divides_by_how_many_items_of_the_category_were_met() -> None:
    scores = category_rate(TRAIN, CATEGORIES, NEW, seed=1)(np.array([2]))
    # everybody: tea 4 meetings of 4 items, milk 3 of 2, bread 1 of 1
    assert order(scores[0])[0] == 9
    assert order(scores[0])[-1] == 12


def test_items_of_one_category_are_in_an_order_drawn_by_the_seed() -> None:
    alike, rows = [("tea",)] * 30, np.arange(10, 30, dtype=np.int32)
    one, again, other = (
        category_popularity(Histories.of([[0, 1]]), alike, rows, seed)(np.array([0])) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert len(set(one[0].tolist())) == 20


def test_random_scores_are_each_persons_own_and_the_same_in_any_batch() -> None:
    scorer = at_random(NEW, 3)
    together = scorer(np.array([4, 5]))
    np.testing.assert_array_equal(scorer(np.array([5]))[0], together[1])
    assert (together[0] != together[1]).all()
