"""Takes calls of the operating system away from a Python process, before anything else is imported.

TESTS_WITHOUT names them, with commas between. The folder stands in PYTHONPATH where it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import pathlib

WITHOUT = [name for name in os.environ.get("TESTS_WITHOUT", "").split(",") if name]
OF_PYTHON = {
    "preadv": (os, "preadv"),
    "posix_fadvise": (os, "posix_fadvise"),
    "O_DIRECT": (os, "O_DIRECT"),
    "sched_getaffinity": (os, "sched_getaffinity"),
    "getxattr": (os, "getxattr"),
    "MADV_HUGEPAGE": (mmap, "MADV_HUGEPAGE"),
}
OF_C = ("madvise", "mincore", "renameat2")
FOLDERS = {"proc": "/proc/", "cgroups": "/sys/fs/cgroup"}
ALL = (*OF_PYTHON, *OF_C, *FOLDERS)


def _take_away(names: list[str]) -> None:
    for name in names:
        if name in OF_PYTHON:
            with contextlib.suppress(AttributeError):  # a system that never had it
                delattr(*OF_PYTHON[name])
    functions = [name for name in names if name in OF_C]
    folders = tuple(FOLDERS[name] for name in names if name in FOLDERS)
    found, read, opened = ctypes.CDLL.__getattr__, pathlib.Path.read_text, os.open

    def get(self, name):
        if name in functions:
            raise AttributeError(f"function {name!r} was taken away")
        return found(self, name)

    def read_text(self, *args, **kwargs):
        if folders and str(self).startswith(folders):
            raise FileNotFoundError(errno.ENOENT, "was taken away", str(self))
        return read(self, *args, **kwargs)

    def open_file(path, *args, **kwargs):
        if folders and str(path).startswith(folders):
            raise FileNotFoundError(errno.ENOENT, "was taken away", str(path))
        return opened(path, *args, **kwargs)

    ctypes.CDLL.__getattr__ = get
    if folders:
        os.open = open_file
    pathlib.Path.read_text = read_text


if unknown := set(WITHOUT) - set(ALL):
    raise SystemExit(f"TESTS_WITHOUT: {', '.join(unknown)}; known are {', '.join(ALL)}")
_take_away(WITHOUT)
