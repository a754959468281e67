"""How kernels are compiled, cached and called.

`kernel` marks a function that Python calls, `shared` and `device` ones that only kernels call: `shared` is
compiled once, `device` into each caller. Nothing is compiled, and no environment read, before the first call.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.np import numpy_support

from streameval.errors import KernelError
from streameval.kernels.caching import use_cache
from streameval.kernels.linking import LinkedCompiler, compile_kernel


class _Linked:
    """A function that only kernels call: Numba hears of it when one of them is compiled, which is mostly never.

    It owns no array, so it counts no references: atomic additions at every step would cost 5 % of a pass.
    """

    def __init__(self, function: Callable[..., Any], **options: bool) -> None:
        self.py_func = function
        self._options = options

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a value in a function that it compiles."""
        return self._dispatcher._numba_type_

    @functools.cached_property
    def _dispatcher(self) -> Any:
        options = {"nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        return numba.njit(pipeline_class=LinkedCompiler, **options, **self._options)(self.py_func)


def device(function: Callable[..., Any]) -> Any:
    """Mark a function that is compiled into each kernel, or function, that calls it."""
    return _Linked(function, forceinline=True)


def shared(function: Callable[..., Any]) -> Any:
    """Mark a function that is compiled once, and called."""
    return _Linked(function)


# One parallel kernel at a time: Numba's workqueue layer aborts the process when two threads enter it.
_LOCK = threading.RLock()


class _Threads:
    """Whether parallel kernels ran in this process, and whether it is a fork of one where they did.

    interrupted  a kernel ran when this process was forked off, or was compiled: Numba's own locks are held for good
    """

    started = False
    lost = False
    interrupted = False

    @classmethod
    def after_fork(cls) -> None:
        global _LOCK
        cls.interrupted = cls.interrupted or not _LOCK.acquire(blocking=False)
        cls.lost = cls.lost or cls.started
        _LOCK = threading.RLock()


os.register_at_fork(after_in_child=_Threads.after_fork)


def kernel(
    *, parallel: bool = False, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compile a bare loop at its first call, keep the machine code on disk, run one kernel at a time.

    name: under which it is kept, one for each code; default: those of its file and function; "" keeps it not.
    The caller raises KernelError in a fork of a process that ran parallel kernels, whose threads are not there, or that
    was forked in the middle of any kernel; and where settings of Numba forbid compiling, or name missing threads.
    """

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        if numba.config.DISABLE_JIT:
            raise KernelError("NUMBA_DISABLE_JIT is set, but only compiled kernels compute here. Unset it.")
        compiled = numba.njit(nogil=True, parallel=parallel)(function)
        compiled.typeof_pyval = functools.partial(_type_of, compiled.typeof_pyval)
        ready = False

        def call(*arguments: Any) -> None:
            if _Threads.interrupted or (parallel and _Threads.lost):
                raise KernelError(
                    "This process was forked from one that had already computed, and the threads did not come along. "
                    'Start workers with multiprocessing.get_context("spawn") or "forkserver", '
                    "or compute only in the children."
                )
            nonlocal ready
            with _LOCK:
                if not ready:
                    if name != "":
                        use_cache(compiled, name)
                    if parallel:
                        _launch_threads()
                        _Threads.started = True
                    # A call that finds nothing compiled first asks every installed package for extensions of Numba.
                    compile_kernel(compiled, tuple(map(compiled.typeof_pyval, arguments)))
                    ready = True
                compiled(*arguments)

        call.__doc__ = function.__doc__
        call.__name__ = function.__name__
        return call

    return wrap


def _launch_threads() -> None:
    """Start Numba's threads before a kernel is read from the disk, which would be taken for damaged without them."""
    from numba.np.ufunc import parallel

    try:
        parallel._launch_threads()
    except ValueError as error:
        raise KernelError(
            f"Numba cannot start threads, with NUMBA_THREADING_LAYER={numba.config.THREADING_LAYER}: "
            f"{' '.join(str(error).split()).rstrip('.')}. Unset NUMBA_THREADING_LAYER to have what is there."
        ) from error


def _type_of(otherwise: Callable[[Any], Any], value: Any) -> Any:
    """The type of an argument that Numba has not met; asked whether an array is masked, it would import numpy.ma."""
    if type(value) is not np.ndarray:
        return otherwise(value)
    return _array_type(value.dtype, value.ndim, numpy_support.map_layout(value), not value.flags.writeable)


@functools.cache
def _array_type(dtype: np.dtype[Any], dimensions: int, layout: str, readonly: bool) -> Any:
    """Kept, since Numba keeps no reference to it."""
    return numba.types.Array(numpy_support.from_dtype(dtype), dimensions, layout, readonly=readonly)
