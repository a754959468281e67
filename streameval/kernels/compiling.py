"""How kernels are compiled, cached and called.

`kernel` marks a function that Python calls; `device` one that only kernels call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba

_LOCK = threading.RLock()

device = numba.njit(nogil=True, forceinline=True)
shared = numba.njit(nogil=True)


def kernel(*, parallel: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compile a bare loop at its first call, keep the machine code on disk, run one kernel at a time."""

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        compiled = numba.njit(nogil=True, parallel=parallel, cache=True)(function)

        def call(*args: Any) -> None:
            with _LOCK:
                compiled(*args)

        call.__doc__ = function.__doc__
        call.__name__ = function.__name__
        return call

    return wrap
