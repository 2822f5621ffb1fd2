"""Items that nobody has met have no id embedding, whatever the server optimizer does."""

import numpy as np

from tests.training.worlds import checkerboard
from training.histories import Histories
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.recommender import make_algorithm
from training.server_state import ServerState
from training.settings import AlgorithmSettings
from training.unmet_items import by_content_alone

UNMET = [4, 7]


def test_under_federated_averaging_an_unmet_item_is_its_content_and_the_others_are_trained_as_without() -> None:
    tower = ItemTower(ItemFeatures.of_categories([("even", "odd")[row % 2 : row % 2 + 1] for row in range(40)]), dim=4)
    histories = Histories.of(rows[~np.isin(rows, UNMET)] for rows in checkerboard().train)
    algorithm = make_algorithm(tower, len(histories), AlgorithmSettings(algorithm="fedavg", dim=4))
    optimizer = by_content_alone(algorithm.server)
    parameters = tower.init(1)
    state = ServerState(0, parameters, optimizer.init(parameters))
    update = algorithm.client_update(algorithm.broadcast(state), list(histories))
    plain, after = algorithm.server.apply(state, update), optimizer.apply(state, update)
    ids = after.parameters["id_embedding"]
    assert np.flatnonzero(~ids.any(axis=1)).tolist() == UNMET
    np.testing.assert_array_equal(np.delete(ids, UNMET, 0), np.delete(plain.parameters["id_embedding"], UNMET, 0))
    again = optimizer.apply(after, update)
    assert np.flatnonzero(~again.parameters["id_embedding"].any(axis=1)).tolist() == UNMET
    np.testing.assert_array_equal(
        tower.item_vectors(again.parameters)[UNMET], tower.content_vectors(again.parameters)[UNMET]
    )
