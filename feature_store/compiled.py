"""Compiled: functions that numba turns into machine code, in the one way in which ours are.

They run without Python's lock, so that threads of ours run side by side; numba's own threads are never started. The
first call on a machine compiles, which takes seconds. The code is kept beside the module, in `__pycache__`, or where
that cannot be written in the user's folder for caches; NUMBA_CACHE_DIR names another folder. Where none can be
written each process compiles for itself; likewise where a power cut or a full disk has left a damaged file there.

Sums may be taken in another order than they are written in, as vectors of numbers need, and a product and a sum
rounded once; that is fixed when they are compiled, so that each call gives the same bits. NaN and infinity stay what
they are.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


def compiled(function: Function) -> Function:
    """The function as machine code, for those that Python calls. What it calls is `inner`, in the same file.

    The code that is kept is compiled anew when that file changes, and only then.
    """
    try:
        ready = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        ready = inner(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal ready
        try:
            return ready(*arguments)
        except Exception:  # noqa: BLE001 - a damaged file of kept code can raise anything; what else is wrong comes again
            ready = inner(function)
            return ready(*arguments)

    call.dispatcher = ready  # type: ignore[attr-defined]  # numba's own view of it, for whoever asks what was kept
    return cast("Function", call)


def compiled_for(*arguments: Any) -> Callable[[Function], Function]:
    """As `compiled`, for arguments of these types alone, and at once: no call ever waits for the compiler.

    What the function calls stands above it in its file, for the same reason.

    arguments: of each argument its type; see `read`, `written`, and numpy's for single numbers.

        @compiled_for(read(np.float32), np.int64)
    """
    signature = tuple(one if isinstance(one, types.Type) else numba.from_dtype(np.dtype(one)) for one in arguments)

    def made(function: Function) -> Function:
        try:
            ready: Function = numba.njit(signature, cache=True, **_OPTIONS)(function)
        except Exception:  # noqa: BLE001 - nowhere to keep code, or what was kept is damaged; what else is wrong comes again
            ready = numba.njit(signature, **_OPTIONS)(function)
        return ready

    return made


def read(number: Any, dimensions: int = 1) -> Any:
    """The type of an array that is only read: contiguous, aligned, in memory or mapped from a file."""
    return types.Array(numba.from_dtype(np.dtype(number)), dimensions, "C", readonly=True)


def written(number: Any, dimensions: int = 1) -> Any:
    """The type of an array that is written to: contiguous and aligned."""
    return types.Array(numba.from_dtype(np.dtype(number)), dimensions, "C")


def inner(function: Function) -> Function:
    """The function as machine code, for those that compiled functions call: part of theirs, and kept with it."""
    ready: Function = numba.njit(**_OPTIONS)(function)
    return ready
