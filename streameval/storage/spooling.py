"""Rows that come one after another, kept in temporary files that are mapped.

Knows features and targets as arrays, and the folder of temporary files (TMPDIR). Does not know where rows come from.
The files have no name any more when the first row is read: they vanish however the process ends.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import StorageError
from streameval.files import storage_errors
from streameval.storage.mapping import File

# Bytes that are copied at once where bytes turn out to be numbers.
COPIED: Final = 16 << 20


class Spool:
    """Rows that are added, features as uint8 as long as they are bytes, else as float32.

    Raises StorageError where there is no room.
    """

    def __init__(self) -> None:
        self.rows, self.width = 0, 1
        self.dtype: np.dtype[Any] | None = None
        self.t_dtype = np.dtype(np.int64)
        self._values, self._labels = _temporary(), _temporary()

    def add(self, x: NDArray[Any], t: NDArray[Any]) -> None:
        """Add rows: x (n, ...) uint8 or float32, t (n,) int64 or (n, classes) float32."""
        if self.dtype is None:
            self.dtype, self.t_dtype, self.width = x.dtype, t.dtype, math.prod(t.shape[1:])
        if x.dtype != self.dtype:
            self._widen()
        with storage_errors(tempfile.gettempdir()):
            self._values.write(np.ascontiguousarray(x, self.dtype).data)
            self._labels.write(np.ascontiguousarray(t).data)
        self.rows += len(x)

    def finished(self) -> tuple[File, File]:
        """The files of features and of targets, without a name; what was opened stays readable."""
        with storage_errors(tempfile.gettempdir()):
            self._values.flush()
            self._labels.flush()
            return File(self._values.name), File(self._labels.name)

    def close(self) -> None:
        """Remove the names."""
        self._values.close()
        self._labels.close()

    def _widen(self) -> None:
        """From now on keep float32: what was bytes is written again, unless it is that already."""
        if self.dtype != np.uint8:
            return
        with storage_errors(tempfile.gettempdir()):
            wide = _temporary()
            self._values.seek(0)
            while raw := self._values.read(COPIED):
                wide.write(np.frombuffer(raw, np.uint8).astype(np.float32).data)
            self._values.close()
        self._values, self.dtype = wide, np.dtype(np.float32)


@contextmanager
def spool() -> Iterator[Spool]:
    """Yield an empty spool whose files lose their names at the end of the block."""
    made = Spool()
    try:
        yield made
    finally:
        made.close()


def check_room(name: str, needed: int) -> None:
    """Raise StorageError if fewer than `needed` bytes are free for temporary files."""
    folder = tempfile.gettempdir()
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{name}: its rows are copied to temporary files of {needed} bytes, but {free} are free in {folder}. Free "
            "some space, or set TMPDIR to a folder on another disk."
        )


def _temporary() -> IO[bytes]:
    with storage_errors(tempfile.gettempdir()):
        made: IO[bytes] = tempfile.NamedTemporaryFile(prefix="streameval-")  # noqa: SIM115
        return made
