"""The measurement of the graph: its split, and a world in which friends know better than any model."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.social import ALONE, Asking, GraphChoice, Lists, measure_social, split_at_random
from feature_store.checkpoint import CheckpointDraft
from feature_store.social_graph import Tie
from feature_store.vocabulary import ItemVocabulary
from training.interactions import Interactions
from training.settings import TrainingSettings
from training.split import Split


def interactions_of(met: Sequence[Sequence[int]], items: int) -> Interactions:
    users = np.repeat(np.arange(len(met)), [len(one) for one in met]).astype(np.int32)
    rows = np.array([row for one in met for row in one], np.int32)
    return Interactions(
        vocabulary=ItemVocabulary(f"item-{row}" for row in range(items)),
        user_ids=tuple(f"person-{n}" for n in range(len(met))),
        event_names=("listen",),
        users=users,
        items=rows,
        events=np.zeros(len(rows), np.int32),
        timestamps=np.full(len(rows), np.nan),
        values=np.full(len(rows), np.nan, np.float32),
    )


@given(met=st.lists(st.lists(st.integers(0, 40), max_size=40), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_a_random_split_gives_each_distinct_item_of_a_person_to_one_part_in_the_published_shares(
    met: list[list[int]], seed: int
) -> None:
    interactions = interactions_of(met, 41)
    split = split_at_random(interactions, seed)
    again = split_at_random(interactions, seed)
    for person, rows in enumerate(met):
        parts = [part[person].tolist() for part in (split.train, split.valid, split.test)]
        assert sorted(parts[0] + parts[1] + parts[2]) == sorted(set(rows))
        assert [len(part) for part in parts[1:]] == [int(0.1 * len(set(rows))), int(0.2 * len(set(rows)))]
        assert again.test[person].tolist() == parts[2]


def test_the_graph_is_judged_by_what_it_finds_and_its_settings_are_chosen_on_valid_alone() -> None:
    """Lists that are right only where the graph has half of them: with more or less of it nothing is found."""
    rng = np.random.default_rng(1)
    met = [rng.permutation(40)[:20].tolist() for _ in range(30)]
    interactions = interactions_of(met, 40)
    asked: list[Asking] = []

    def serving(draft: CheckpointDraft, split: Split, ties: Sequence[Tie]) -> Lists:
        assert [tie.kind for tie in ties] == ["friend"]

        def lists(asking: Asking, choice: GraphChoice, length: int) -> Sequence[int]:
            asked.append(asking)
            person = split.user_ids.index(asking.user_id)
            wanted = [*split.valid[person], *split.test[person]]
            wrong = [row for row in range(40) if row not in wanted]
            return (wanted if choice == GraphChoice(0.1, 0.5) else wrong)[:length]

        return lists

    settings = TrainingSettings(dim=4, rounds=1, cohort=30, patience=0)
    ties = [Tie("friend", "person-0", "person-1")]
    found = measure_social(interactions, ties, settings, [1, 2], serving, lambda _: None, most=10)

    assert found["chosen"] == {"share": 0.1, "weight": 0.5}
    for of in found["test"].values():
        assert (of["alone"]["recall@20"], of["graph"]["recall@20"]) == (0.0, 1.0)
        assert (of["recall_gain"]["mean"], of["recall_gain"]["standard_error"]) == (1.0, 0.0)
        assert of["graph"]["ndcg@20"] < 1.0  # the two valid items stand before the test items
    assert found["valid_ndcg@20"][0] == {**ALONE._asdict(), "ndcg@20": 0.0}
    assert {len(asking.known) for asking in asked} == {1, 3, 10, 14}
    assert {len(asking.left_out) for asking in asked} == {14, 16}
