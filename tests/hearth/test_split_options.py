"""How interactions are split, as the command line says: by person or at points of time, repeats left out or ranked."""

from pathlib import Path

import pytest

from feature_store.errors import BadInput
from hearth.sources import read_source
from tests.hearth.command import Command
from tests.hearth.world import START, small_world, table
from training.split import digest
from training.split_global import Cuts
from training.split_rule import SplitRule


def shop(folder: Path) -> Path:
    """Ten people buy items 0..5, one a day, then item 0 again; the last to come buys on the last days alone."""
    folder.mkdir()
    lines = [
        (f"p{person}", f"i{item}", START + 86_400 * day, "purchase", 1)
        for person in range(10)
        for day, item in enumerate([0, 1, 2, 3, 4, 5, 0])
    ]
    lines += [("late", "i5", START + 86_400 * 6, "purchase", 1), ("p0", "i1", START + 86_400 * 6, "return", -1)]
    (folder / "interactions.csv").write_text(table(("user_id", "item_id", "timestamp", "event", "value"), lines))
    return folder


def test_a_rule_splits_what_is_read_and_says_what_it_could_not_ask(tmp_path: Path) -> None:
    rule = SplitRule("time", "repeat", Cuts(START + 86_400 * 5, START + 86_400 * 6))
    source = read_source(shop(tmp_path / "shop"), min_value=1, rule=rule)
    assert source.split.ranks_met
    assert source.split.train.lengths.tolist() == [5] * 10 + [0]
    assert source.split.test.lengths.tolist() == [1] * 10 + [0]
    assert source.notes == (
        "1 interactions below the value 1 left out",
        "11 of 21 held-out items are not asked for: 1 people and 1 items came after the train part",
    )


def test_what_is_split_already_is_not_split_again(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2\n")
    (tmp_path / "test.txt").write_text("0 3\n")
    with pytest.raises(BadInput, match="is split already; it cannot be split by time"):
        read_source(tmp_path, rule=SplitRule("time"))


def test_a_checkpoint_trained_before_a_point_of_time_is_judged_by_what_came_after(tmp_path: Path) -> None:
    """All of a person's items are in time order here, as are all interactions: the two splits differ."""
    world, registry, command = shop(tmp_path / "shop"), tmp_path / "registry", Command(tmp_path)
    rule = ("--split-by", "time", "--repeats", "repeat", "--min-value", "1")
    settings = ("--dim", "4", "--rounds", "3", "--cohort", "5", "--promote", "--json")
    command.run("train", "--interactions", world, "--registry", registry, *rule, *settings).json()
    judged = command.run("evaluate", "--split", world, "--registry", registry, *rule, "--json").json()
    assert judged["trained_on_this_split"] is True
    assert judged["users"] == 10


def test_repeats_without_time_and_one_cut_of_two_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    command, world = Command(tmp_path), small_world(tmp_path / "world")
    with command.server() as hearth:
        error = hearth("bench", "quality", "--split", world, "--repeats", "repeat").error()
        assert "repeats are targets only where the split is by time" in error
        error = hearth("bench", "quality", "--split", world, "--split-by", "time", "--valid-from", "1997-11-20").error()
        assert "--valid-from and --test-from are given together" in error
        error = hearth("bench", "tables", "--data", world, "--out", tmp_path / "r.md", "--data-set", "none").error()
        assert "there is no data set 'none'; there are: ml1m" in error
    assert digest(read_source(world).split) == digest(read_source(world, rule=SplitRule()).split)
