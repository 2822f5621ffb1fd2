"""Adam against Keras' own."""

import numpy as np

from training.adam import adam_step
from training.tf import tf, tf_keras


def test_steps_are_those_of_keras() -> None:
    random = np.random.default_rng(0)
    variable = tf.Variable(np.zeros(5, np.float32))
    keras = tf_keras.optimizers.Adam(0.05, beta_1=0.9, beta_2=0.99, epsilon=1e-8)
    value, first, second = (np.zeros(5, np.float32) for _ in range(3))
    for step in range(1, 9):
        gradient = random.standard_normal(5).astype(np.float32)
        keras.apply_gradients([(tf.constant(gradient), variable)])
        delta, first, second = adam_step(gradient, first, second, step, 0.05)
        value = value + delta
        np.testing.assert_allclose(value, variable.numpy(), rtol=1e-4, atol=1e-6)
