"""TensorFlow, tf_keras and tensorflow-recommenders, imported in the one way in which they fit together.

tensorflow-recommenders needs Keras 2, which TensorFlow gives only if it is asked to before it is imported.
Every module of `training` takes the three from here.
"""

import os
import sys

if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    raise ImportError("TensorFlow was imported with Keras 3 before hearth; set TF_USE_LEGACY_KERAS=1 for the process")

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised; the rest is said on every start
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # a cell's GPU is shared with its serving

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

# The same sums in the same order in each run: a resumed training equals an uninterrupted one bit for bit.
tf.config.experimental.enable_op_determinism()

__all__ = ["tf", "tf_keras", "tfrs"]
