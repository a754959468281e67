"""Files that are read by position or through a memory mapping, and noticed when they change.

Knows file descriptors, mmap and madvise: the only place that maps a file. Does not know any format.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, StorageError
from streameval.files import storage_errors
from streameval.system import begin_reading, memory_call, read_into

RELEASE_ABOVE = 64 << 20
"""Files up to this many bytes stay mapped; of larger ones the pages behind the reader are given back."""

FOLIO = 2 << 20
"""The page cache may hold a file in folios of up to this size, which one page fault maps whole."""

MADV_WILLNEED = 3
MADV_DONTNEED = 4

_mapped: weakref.WeakSet[File] = weakref.WeakSet()


class File:
    """A regular file opened for reading, with what identified it at that moment."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with storage_errors(self.path):
            # Opening a pipe would wait for a writer.
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._close: Callable[[], Any] = weakref.finalize(self, os.close, self._handle)
        status = os.fstat(self._handle)
        if not stat.S_ISREG(status.st_mode):
            self._close()
            raise StorageError(f"{self.path}: is not a regular file. Give the path of a data file.")
        self._identity = _identity(status)
        self.size = self._identity[0]

    def read(self, at: int, size: int) -> bytes:
        """Return exactly the `size` bytes at position `at`. Raises DataError when the file ends before."""
        # Nothing is allocated for bytes that the file does not have; the one more lets it say so.
        data = bytearray(min(size, max(self.size - at, 0) + 1))
        self.read_into(memoryview(data), at)
        return bytes(data)

    def read_into(self, out: memoryview, at: int) -> None:
        """Fill `out` with the bytes from position `at` on. Raises DataError when the file ends before."""
        done = 0
        while done < len(out):
            with storage_errors(self.path):
                got = read_into(self._descriptor(), (out[done:],), at + done)
            if got == 0:
                raise DataError(
                    f"{self.path}: the file ends at offset {at + done}, but {len(out) - done} more bytes "
                    f"were expected there; it had {self.size} bytes when it was opened. It was cut short "
                    "while it was read: restore it, and run again."
                )
            done += got

    def read_rows(self, out: NDArray[Any], at: NDArray[np.int64]) -> None:
        """Fill each row of `out` (n, numbers) from position `at[i]` on, as `read_into` does."""
        handle, size = self._descriptor(), out.itemsize * out.shape[1]
        raw = out.reshape(-1).view(np.uint8).data
        with storage_errors(self.path):
            for start, position in zip(range(0, len(raw), size), at.tolist(), strict=True):
                row = raw[start : start + size]
                # Nearly every read comes whole; what happens otherwise is the business of `read_into`.
                if read_into(handle, (row,), position) != size:
                    self.read_into(row, position)

    def prefetch(self, at: int, size: int) -> None:
        """Ask the system to begin reading these bytes into its cache."""
        begin_reading(self._descriptor(), at, size)

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Nothing to do: `objects.Object` fetches small ranges together that will be read one after another."""

    def is_at(self, handle: int) -> bool:
        """Whether another descriptor is of this file."""
        return _identity(os.fstat(handle))[3:] == self._identity[3:]

    def check_size(self) -> None:
        """Raise DataError when the file has not the size that it had when it was opened."""
        size = os.fstat(self._descriptor()).st_size
        if size != self.size:
            raise DataError(
                f"{self.path}: the file changed while it was read: it is {size} bytes long now, expected "
                f"{self.size} as when it was opened. Let no one write to it, and run again."
            )

    def check_unchanged(self) -> None:
        """Raise DataError when the file was written to, or another one lies at its path by now."""
        self.check_size()
        try:
            there = _identity(self.path.stat())
        except OSError:
            there = None
        for identity in (_identity(os.fstat(self._descriptor())), there):
            if identity != self._identity:
                raise DataError(
                    f"{self.path}: the file changed while it was read: found (size, mtime_ns, ctime_ns, inode, device) "
                    f"{identity or 'no file'}, expected {self._identity} as when it was opened. "
                    "Let no one write to it, and run again."
                )

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """What tells the file from others on its file system: size, times of writing and of change, inode."""
        return self._identity[:4]

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        self._close()
        self._handle = -1

    def map(self) -> Mapping:
        """Map the whole file read-only."""
        self.check_size()
        with storage_errors(self.path):
            mapped = mmap.mmap(self._descriptor(), self.size, access=mmap.ACCESS_READ)
        _mapped.add(self)
        return Mapping(self, np.frombuffer(mapped, np.uint8))

    def tells_cached(self) -> bool:
        """Whether the system tells what the page cache holds of this file: it tells owners, and who may write."""
        return os.fstat(self._descriptor()).st_uid == os.geteuid() or os.access(self.path, os.W_OK)

    def _descriptor(self) -> int:
        if self._handle < 0:
            raise StorageError(f"{self.path}: the data set was closed. Open it again.")
        return self._handle


class Mapping:
    """A whole file as memory. The bytes are given back when the last view of them dies.

    A file that is cut short while it is mapped kills the process with SIGBUS when a missing page is touched.
    `check_size` before every chunk catches nearly all such cases; `io="pread"` catches them all.
    """

    def __init__(self, file: File, content: NDArray[np.uint8]) -> None:
        self.file = file
        self.bytes = content
        self.releases = file.size > RELEASE_ABOVE
        self._address = content.ctypes.data
        self._madvise = memory_call("madvise", ctypes.c_int) if self.releases else None
        self._mincore = memory_call("mincore", ctypes.c_char_p) if file.tells_cached() else None

    def view(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the largest prefix of the file that is whole numbers of `dtype`, as 1-D array."""
        whole = len(self.bytes) - len(self.bytes) % dtype.itemsize
        return self.bytes[:whole].view(dtype)

    def release_always(self) -> None:
        """From now on give pages back whatever the size of the file: memory is short."""
        self.releases = True
        self._madvise = self._madvise or memory_call("madvise", ctypes.c_int)

    @property
    def gives_back(self) -> bool:
        """Whether the system takes pages of a mapping back, as `release` asks."""
        return memory_call("madvise", ctypes.c_int) is not None

    def prefetch(self, start: int, stop: int) -> None:
        """Begin to read these bytes of a large file, so that reading overlaps computing."""
        # To ask for what is there already costs a walk over all its pages.
        if self._madvise is not None and not self.cached(start, stop):
            self._advise(start, stop, MADV_WILLNEED, mmap.PAGESIZE)

    def release(self, start: int, stop: int) -> None:
        """Give these bytes of a large file back, but for what lies after the last whole folio."""
        self._advise(start, stop - stop % FOLIO, MADV_DONTNEED, FOLIO)

    def cached(self, start: int, stop: int) -> bool:
        """Whether the page cache holds these bytes, as far as three of their pages tell; no where nobody may know."""
        residency = ctypes.create_string_buffer(1)
        for at in (start, (start + stop) // 2, max(start, stop - 1)):
            page = self._address + at - at % mmap.PAGESIZE
            if not self._mincore or self._mincore(page, 1, residency) != 0 or not residency.raw[0] & 1:
                return False
        return True

    def _advise(self, start: int, stop: int, advice: int, unit: int) -> None:
        first = start - start % unit
        if self._madvise is not None and first < stop:
            self._madvise(self._address + first, stop - first, advice)


def mapped_files() -> list[tuple[int, int]]:
    """The descriptor of every open file that was mapped, and the bytes that it had when it was opened."""
    return sorted((one._handle, one.size) for one in _mapped if one._handle >= 0)


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """The time of change (ctime) is the system's alone: who puts the time of writing (mtime) back, moves it."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
