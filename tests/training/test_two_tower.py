"""The federated rounds against the model as one differentiable program (autodiff is the oracle)."""

import numpy as np
import pytest

from feature_store.fold_in import FoldInSettings
from tests.training.worlds import checkerboard
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.padding import pad
from training.reconstruction import curvature_update
from training.tf import tf, tf_keras
from training.two_tower import TwoTower

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.02)


@pytest.fixture
def tower() -> ItemTower:
    categories = [("even",) if row % 2 == 0 else ("odd", "rare")[: 1 + (row % 3 == 0)] for row in range(40)]
    return ItemTower(ItemFeatures.of_categories(categories), dim=6)


def test_summed_updates_pulled_back_are_the_gradient_of_the_whole_loss(tower: ItemTower) -> None:
    """D1 is exact: clients see item vectors only, and yet every parameter of the tower gets its true gradient."""
    split = checkerboard()
    random = np.random.default_rng(5)
    start = tower.init(seed=1, scale=1.0)
    parameters = {n: (a + 0.1 * random.standard_normal(a.shape)).astype(np.float32) for n, a in start.items()}
    tower.set(parameters)
    model = TwoTower(tower.network, WEIGHTS)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(tf.constant(pad(list(split.train))))
    gradients = tape.gradient(loss, tower.network.trainable_variables)
    autodiff = {
        v.name.split("/")[-2]: tf.convert_to_tensor(g).numpy()
        for v, g in zip(tower.network.trainable_variables, gradients, strict=True)
    }

    vectors = tower.item_vectors(parameters)
    update = curvature_update(vectors, list(split.train), WEIGHTS)
    ridge = WEIGHTS.regularization * (update.sums["item_counts"] + WEIGHTS.alpha * update.clients)
    gradient = (
        update.sums["item_gradient"] + WEIGHTS.alpha * vectors @ update.sums["user_gram"] + ridge[:, None] * vectors
    )
    federated = tower.pull_back(parameters, 2 * gradient)

    assert federated.keys() == autodiff.keys() == {"id_embedding", "category_embedding"}
    for name, array in autodiff.items():
        np.testing.assert_allclose(federated[name], array, rtol=2e-3, atol=2e-3)
    assert float(loss) == pytest.approx(update.loss + float((ridge * (vectors**2).sum(axis=1)).sum()), rel=1e-4)


def test_the_centralised_model_learns_by_fit(tower: ItemTower) -> None:
    split = checkerboard()
    tower.set(tower.init(seed=1))
    model = TwoTower(tower.network, WEIGHTS)
    model.compile(optimizer=tf_keras.optimizers.Adam(0.02))
    batch = tf.constant(pad(list(split.train)))
    history = model.fit(batch, epochs=60, batch_size=30, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]
    scores = model(batch).numpy()
    for person in range(60):
        liked = np.arange(person % 2, 40, 2)
        assert scores[person, liked].mean() > scores[person, 1 - person % 2 :: 2].mean() + 0.2
