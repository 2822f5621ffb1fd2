"""The composition root: the command line and the demo."""

import os

# Before numpy is imported: its OpenBLAS keeps a thread spinning for 25 ms after each call that it has shared out, which
# on a busy machine costs as much as a round's client updates. 2^4 cycles end it.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
