"""Calls that not every operating system has, each with what is done where it is missing.

Linux has them all; macOS has neither `preadv`, `posix_fadvise`, affinity masks nor /proc. Does not know any file.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")


def _read_and_copy(handle: int, buffers: Any, position: int) -> int:
    """As `preadv`, by a read into memory of its own that is copied."""
    (out,) = buffers
    got = os.pread(handle, len(out), position)
    out[: len(got)] = got
    return len(got)


read_into: Callable[[int, Any, int], int] = getattr(os, "preadv", _read_and_copy)
"""Fill one buffer, (memoryview,), from a position of a file; how many bytes were there."""


def begin_reading(handle: int, at: int, size: int) -> None:
    """Ask the system to begin reading these bytes into its cache; where it cannot be asked, it reads when it has to."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, at, size, os.POSIX_FADV_WILLNEED)


def memory_call(name: str, last: Any) -> Callable[[int, int, Any], int] | None:
    """A function of the C library whose arguments are an address, a length, and one of type `last`; None without it.

    Unlike those of Python's mmap, it lets other threads run meanwhile.
    """
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, last]
    function.restype = ctypes.c_int
    call: Callable[[int, int, Any], int] = function
    return call


def cpus() -> int:
    """CPUs that this process may run on: those of its affinity mask, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_in_use() -> dict[str, int]:
    """This process's memory in bytes: RssAnon, what it has of its own, and RssFile, what is a file's or shared.

    Without /proc the largest that it ever had, of both kinds together, as RssAnon: no less than what is asked for.
    """
    try:
        # Pages in memory, and those of them that are not its own. A third of the time that `read_text` takes.
        file = os.open(_STATM, os.O_RDONLY)
        try:
            resident, shared = map(int, os.read(file, 256).split()[1:3])
        finally:
            os.close(file)
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"RssAnon": most if sys.platform == "darwin" else 1024 * most}
    return {"RssAnon": mmap.PAGESIZE * (resident - shared), "RssFile": mmap.PAGESIZE * shared}
