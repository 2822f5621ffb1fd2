"""A published leave-one-out test: what is read, and the validation that is made from its train part."""

from pathlib import Path

import numpy as np
import pytest

from feature_store.errors import BadInput, MalformedLine
from training.split_leave_one_out import NEGATIVES, read_leave_one_out

INTERACTIONS = """user_id,item_id,event,split
1,10,rated,train
1,11,rated,train
1,12,rated,test
2,11,rated,train
2,13,rated,train
2,10,rated,train
3,13,rated,train
"""
TEST = """user_id,item_id,rating,timestamp,negatives
1,12,5,1,13 14 12
"""


def folder_with(folder: Path, interactions: str = INTERACTIONS, test: str = TEST) -> Path:
    (folder / "interactions.csv.gz").write_text(interactions)  # what is compressed is told by its content
    (folder / "ncf_test.csv.gz").write_text(test)
    return folder


def test_the_final_split_and_its_negatives_are_as_published(tmp_path: Path) -> None:
    read = read_leave_one_out(folder_with(tmp_path))
    ids = read.final.vocabulary.item_ids
    assert sorted(ids) == ["10", "11", "12", "13", "14"]
    assert read.final.user_ids == read.tuning.user_ids == ("1", "2", "3")
    assert [[ids[row] for row in rows] for rows in read.final.train] == [["10", "11"], ["11", "13", "10"], ["13"]]
    assert [[ids[row] for row in rows] for rows in read.final.test] == [["12"], [], []]
    assert [[ids[row] for row in rows] for rows in read.test_negatives] == [["13", "14", "12"], [], []]
    assert read.final.valid.rows.size == 0


def test_validation_takes_one_train_item_of_everybody_with_two_and_ranks_it_among_unmet_ones(tmp_path: Path) -> None:
    read = read_leave_one_out(folder_with(tmp_path))
    assert read.tuning.valid.lengths.tolist() == [1, 1, 0]
    assert read.tuning.test.rows.size == 0  # nothing can be chosen by it
    for client in range(3):
        kept, out = read.tuning.train[client].tolist(), read.tuning.valid[client].tolist()
        train = read.final.train[client].tolist()
        assert sorted(kept + out) == sorted(train)
        assert [row for row in train if row in kept] == kept
        unmet = set(range(5)) - set(train)
        assert set(read.valid_negatives[client].tolist()) == (unmet if out else set())


def test_a_held_out_test_item_is_an_item_like_any_other_among_the_validation_negatives(tmp_path: Path) -> None:
    """Leaving it out would tell the settings which item comes next."""
    read = read_leave_one_out(folder_with(tmp_path))
    assert read.final.vocabulary.row("12") in read.valid_negatives[0].tolist()


def test_the_negatives_are_99_distinct_items_and_another_seed_draws_others(tmp_path: Path) -> None:
    many = "".join(f"9,{item},rated,train\n" for item in range(100, 400))
    folder = folder_with(tmp_path, INTERACTIONS + many)
    first, again, other = (read_leave_one_out(folder, seed) for seed in (0, 0, 1))
    assert len(set(first.valid_negatives[0].tolist())) == first.valid_negatives.lengths[0] == NEGATIVES
    np.testing.assert_array_equal(first.valid_negatives.rows, again.valid_negatives.rows)
    np.testing.assert_array_equal(first.tuning.valid.rows, again.tuning.valid.rows)
    assert not np.array_equal(first.valid_negatives.rows, other.valid_negatives.rows)
    assert not np.array_equal(first.tuning.valid.rows, other.tuning.valid.rows)


@pytest.mark.parametrize(
    ("interactions", "test", "message"),
    [
        (INTERACTIONS + "1,14,rated,test\n", TEST, "has the test items '12' and '14'"),
        (INTERACTIONS + "1,14,rated,dev\n", TEST, "split is train or test; got 'dev'"),
        (INTERACTIONS, TEST.replace("1,12,", "1,13,"), "is '13' here and '12' among the interactions"),
        (INTERACTIONS, TEST + "1,12,5,1,13\n", "stands on a line before it already"),
    ],
)
def test_lines_that_contradict_each_other_are_refused(
    tmp_path: Path, interactions: str, test: str, message: str
) -> None:
    with pytest.raises(MalformedLine, match=message):
        read_leave_one_out(folder_with(tmp_path, interactions, test))


def test_a_test_that_lacks_a_person_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no line of user '1', who has a test item"):
        read_leave_one_out(folder_with(tmp_path, test=TEST.splitlines()[0] + "\n"))
    with pytest.raises(BadInput, match="no train items of user '4'"):
        read_leave_one_out(folder_with(tmp_path, INTERACTIONS + "4,10,rated,test\n", TEST + "4,10,5,1,13\n"))
