"""TensorFlow, tf_keras and tensorflow-recommenders, imported in the one way in which they fit together.

tensorflow-recommenders needs Keras 2, which TensorFlow gives only if it is asked to before it is imported.
Every module of `training` takes the three from here.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    raise ImportError("TensorFlow was imported with Keras 3 before hearth; set TF_USE_LEGACY_KERAS=1 for the process")

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised; the rest is said on every start
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # a cell's GPU is shared with its serving


@contextmanager
def _native_messages_only_on_failure() -> Iterator[None]:
    """Hold back what TensorFlow's libraries write to descriptor 2 while they load; no setting of theirs does."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


with _native_messages_only_on_failure():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
    import tf_keras

# The same sums in the same order in each run: a resumed training equals an uninterrupted one bit for bit.
tf.config.experimental.enable_op_determinism()

__all__ = ["tf", "tf_keras", "tfrs"]
