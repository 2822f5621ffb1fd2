"""Padded item rows of a batch of clients as a matrix over all items, and back."""

from typing import Any

from training.tf import tf


def on_rows(padded: Any, items: Any) -> Any:
    """1 on the rows of each client and 0 elsewhere, shape (clients, items)."""
    where = tf.where(padded >= 0)
    cells = tf.stack([where[:, 0], tf.cast(tf.gather_nd(padded, where), tf.int64)], axis=1)
    shape = tf.cast(tf.stack([tf.shape(padded)[0], items]), tf.int64)
    return tf.scatter_nd(cells, tf.ones(tf.shape(where)[0]), shape)


def at_rows(values: Any, padded: Any) -> Any:
    """The entries of a (clients, items) matrix on the rows of each client, shaped like `padded`; any where padded."""
    return tf.gather(values, tf.maximum(padded, 0), batch_dims=1)
