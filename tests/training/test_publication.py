"""Publication: what serving and devices are handed."""

import numpy as np

from feature_store.row_ranges import one_catalogue
from tests.training.worlds import checkerboard
from training.histories import Histories
from training.item_features import ItemFeatures
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

NEW = [6, 9]


def test_a_published_checkpoint_has_a_vector_for_each_new_item_that_its_people_would_like() -> None:
    """Nobody has met items 6 and 9; content alone says who would like them."""
    world = checkerboard()
    parts = (
        Histories.of(rows[~np.isin(rows, NEW)] for rows in part) for part in (world.train, world.valid, world.test)
    )
    split = Split(world.vocabulary, world.user_ids, *parts)
    features = ItemFeatures.of_categories([("even", "odd")[row % 2 :][:1] for row in range(40)])
    run = prepare(split, TrainingSettings(dim=4, rounds=5, patience=0), features)
    *_, (state, _) = run.rounds(run.start(), validate=False)
    draft = run.draft(state, one_catalogue("media", 40))
    content = run.tower.content_vectors(state.parameters)
    np.testing.assert_array_equal(draft.item_vectors[NEW], content[NEW])
    assert draft.item_counts[NEW].tolist() == [0, 0]
    trained = np.delete(np.arange(40), NEW)
    for new in NEW:
        likeness = draft.item_vectors[trained] @ draft.item_vectors[new]
        assert likeness[trained % 2 == new % 2].min() > likeness[trained % 2 != new % 2].max()
