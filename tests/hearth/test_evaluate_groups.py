"""Quality by group of a published checkpoint, as `hearth evaluate --groups` shows it."""

from collections.abc import Callable
from dataclasses import asdict

from hearth.sources import read_source
from tests.hearth.command import Ended
from tests.hearth.conftest import Trained
from training.checkpoint_quality import checkpoint_groups


def test_groups_are_of_the_test_items_and_together_they_are_everybody(
    trained: Trained, hearth: Callable[..., Ended]
) -> None:
    arguments = ("evaluate", "--split", trained.world, "--registry", trained.registry, "--groups")
    printed = hearth(*arguments, "--json").json()
    checkpoint = trained.command.registry(trained.registry).load(trained.checkpoint_id)
    split = read_source(trained.world).split
    assert printed["groups"] == {
        name: [dict(group) for group in groups] for name, groups in asdict(checkpoint_groups(checkpoint, split)).items()
    }
    people = printed["groups"]["people"]
    recall = sum(group["people"] * group["recall"] for group in people) / sum(group["people"] for group in people)
    assert round(recall, 9) == round(printed["recall@20"], 9)
    assert sum(group["held_out"] for group in printed["groups"]["items"]) == split.test.rows.size
    shown = hearth(*arguments).stdout
    assert "By activity of people" in shown
    assert all(f" {group['ndcg']:.4f} " in shown for group in people)
