"""The two-tower model as one differentiable program over everybody's data.

It says in plain operations what the federated rounds minimise. The tests hold the rounds to it, and
`fit` trains it where all data lies in one place: the centralised counterpart that a team would start from.
"""

from typing import Any

from feature_store.fold_in import FoldInSettings
from training.losses.embedding import embed
from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.tf import tf, tfrs
from training.tower_network import TowerNetwork


class TwoTower(tfrs.Model):  # type: ignore[misc]  # tensorflow-recommenders has no types
    """Item tower, and a query tower that is the reconstruction of the user embedding.

    item_tower: gives all item vectors Q.
    settings: the weights α and λ of the loss.
    loss: of the scores; one that samples stands for the full loss that it estimates.
    """

    def __init__(self, item_tower: TowerNetwork, settings: FoldInSettings, loss: LossName = "quadratic") -> None:
        super().__init__()
        self.item_tower = item_tower
        self._settings = settings
        self._loss = loss

    def call(self, padded: Any) -> Any:
        """Scores of all items for the clients of a padded batch, shape (clients, items)."""
        vectors = self.item_tower(None)
        return tf.matmul(self._embeddings(vectors, padded)[0], vectors, transpose_b=True)

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002 - the name and place are Keras'
        """The loss of a padded batch of clients, their share of the item vectors' regularisation included.

        Σ_u [value(Q p_u) + λ (|H_u| + α·items) |p_u|²] + λ Σ_i (c_i + α·clients) |q_i|², with the value that of the
        loss: Σ_{i∈H_u} (1 − p_u·q_i)² + α Σ_i (p_u·q_i)² where it is quadratic.
        """
        del training
        vectors = self.item_tower(None)
        items = tf.cast(tf.shape(vectors)[0], tf.float32)
        # p minimises the loss, so the loss changes with Q as if p stood still (envelope theorem).
        embeddings, met = map(tf.stop_gradient, self._embeddings(vectors, inputs))
        scores = tf.matmul(embeddings, vectors, transpose_b=True)
        alpha, regularization = self._settings.alpha, self._settings.regularization
        by_client = tf.reduce_sum(met, axis=1) + alpha * items
        by_item = tf.reduce_sum(met, axis=0) + alpha * tf.cast(tf.shape(inputs)[0], tf.float32)
        return (
            tf.reduce_sum(LOSSES[self._loss].full.value(scores, met, alpha))
            + regularization * tf.reduce_sum(by_client * tf.reduce_sum(tf.square(embeddings), axis=1))
            + regularization * tf.reduce_sum(by_item * tf.reduce_sum(tf.square(vectors), axis=1))
        )

    def _embeddings(self, vectors: Any, padded: Any) -> Any:
        return embed(self._loss, vectors, padded, self._settings.alpha, self._settings.regularization)
