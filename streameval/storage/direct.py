"""Files larger than memory: what the page cache does not hold is read past it, several reads at once.

To fill the page cache with bytes that are pushed out before anyone asks for them again costs more than to read
them. Knows positions and buffers. Does not know any format.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.storage.access import Rows, Views
from streameval.storage.forks import renew_in_forks
from streameval.storage.layout import Layout, Piece
from streameval.storage.mapping import File, Mapping
from streameval.storage.ranges import Fetch, Ranges
from streameval.system import read_into

# Positions, lengths and addresses are multiples of this: enough for every block size of disks in use.
BLOCK = 4096
# Reads of this many bytes, so many at once: see docs/long_run.md.
PART_BYTES, IN_FLIGHT = 1 << 20, 3
# Pieces of at most about this many bytes: larger ones take memory and save no time.
PIECE_BYTES = 4 << 20
# Of the threads that read, their stacks and what they hold.
THREAD_BYTES = 256 << 10


def reading_pool() -> ThreadPoolExecutor:
    """Threads that read; they are started as they are needed, and end with the pool."""
    return ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="streameval-reads")


class DirectFile:
    """A file read past the page cache, into buffers that are used again and again. Fulfils `Fetching`.

    Raises OSError where the system or the file system cannot do that.
    """

    def __init__(self, file: File, pool: ThreadPoolExecutor | None = None) -> None:
        # What is read so must be read where it stays: into memory that begins at a multiple of a block.
        if not (hasattr(os, "O_DIRECT") and hasattr(os, "preadv")):
            raise OSError(errno.EINVAL, "there is no O_DIRECT, or no preadv")
        self._file = file
        self._handle = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        weakref.finalize(self, os.close, self._handle)
        if not file.is_at(self._handle):
            raise OSError(errno.ESTALE, "another file lies at this path by now")
        self._free: list[mmap.mmap] = []
        self._choosing = threading.Lock()
        self._pool = pool or reading_pool()
        renew_in_forks(self)

    def fetch(self, at: int, size: int) -> Fetch:
        """Begin to fetch `size` bytes from position `at` on, and what of whole blocks lies around them."""
        self._file.check_size()
        first = at - at % BLOCK
        needed = at + size - first
        length = -(-needed // BLOCK) * BLOCK
        buffer = self._buffer(length)
        whole = np.frombuffer(buffer, np.uint8, length)
        # Once nobody has a view of the bytes, the buffer is free for others.
        weakref.finalize(whole, self._free.append, buffer).atexit = False
        futures = [
            self._pool.submit(
                self._fill, whole[start : start + PART_BYTES].data, first + start, needed - start
            )
            for start in range(0, length, PART_BYTES)
        ]
        return Fetch(whole[at - first : needed], futures)

    def read_rows(self, out: NDArray[Any], at: NDArray[np.int64]) -> None:
        """Fill each row of `out` (n, numbers) with the bytes from position `at[i]` on, through the page cache."""
        self._file.read_rows(out, at)

    def in_flight(self) -> int:
        """The most bytes that fetching holds besides those that are handed out."""
        return IN_FLIGHT * THREAD_BYTES

    def renew(self) -> None:
        """See `Renewed`: another pool, and a lock that nobody has."""
        self._choosing, self._pool = threading.Lock(), reading_pool()

    def _fill(self, out: memoryview, at: int, needed: int) -> None:
        """Fill `out` from position `at` on, or its first `needed` bytes where the file ends after those."""
        done, needed = 0, min(needed, len(out))
        while done < needed and done % BLOCK == 0:
            try:
                got = read_into(self._handle, (out[done:],), at + done)
            except OSError:
                got = 0
            if got == 0:
                break
            done += got
        if done < needed:
            # The file ends here, its blocks are larger than ours, or the disk fails: reading through the page cache
            # gets over the second, and raises the right error for the others.
            self._file.read_into(out[done:needed], at + done)

    def _buffer(self, length: int) -> mmap.mmap:
        """A buffer of at least `length` bytes: the smallest free one that is large enough, else a new one."""
        with self._choosing:
            fitting = [one for one in self._free if len(one) >= length]
            if fitting:
                chosen = min(fitting, key=len)
                self._free.remove(chosen)
                return chosen
            # All free ones are too small, and were made for smaller pieces: they give way.
            self._free.clear()
        made = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):
                made.madvise(mmap.MADV_HUGEPAGE)
        return made


class Direct:
    """Rows in a mapped file where the page cache holds them, and read past it where it does not. Fulfils `Access`.

    always   read all rows past the page cache, whatever it holds
    """

    def __init__(
        self, layout: Layout, views: Views, values: Mapping, labels: Mapping, *, always: bool
    ) -> None:
        self._layout = layout
        self._views = views
        # Two, even of one file: buffers for features and buffers for targets.
        pool = reading_pool()
        self._ranges = Ranges(layout, DirectFile(values.file, pool), DirectFile(labels.file, pool))
        self._always = always

    @property
    def files(self) -> tuple[File, ...]:
        return self._views.files

    def piece(self, piece: Piece) -> Rows:
        if self._ranges.expects(piece) or not self._cached(piece):
            return self._ranges.piece(piece)
        return self._views.piece(piece)

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        return self._views.pick(rows)

    def prefetch(self, piece: Piece) -> None:
        (self._views if self._cached(piece) else self._ranges).prefetch(piece)

    def release(self, piece: Piece) -> None:
        self._views.release(piece)

    def costs(self) -> tuple[int, int]:
        views, ranges = self._views.costs(), self._ranges.costs()
        return views[0] + ranges[0], max(views[1], ranges[1])

    def piece_rows(self, chunk_rows: int) -> int:
        # As many pieces of one size as it takes: three of them are in memory at once.
        pieces = -(-chunk_rows * self._layout.value_bytes // PIECE_BYTES)
        return -(-chunk_rows // max(pieces, 1))

    def save_memory(self) -> None:
        self._views.save_memory()

    def _cached(self, piece: Piece) -> bool:
        """Whether features and targets of a piece are in the page cache.

        A fault on either would have the system read megabytes around it into the cache, and so the next pieces.
        """
        if self._always:
            return False
        return all(mapping.cached(start, stop) for mapping, start, stop in self._views.ranges(piece))
