"""Columns of numbers that grow in nameless temporary files and are lent as mapped arrays.

Knows files in the folder of temporary files (TMPDIR). Does not know what the numbers mean. What is mapped can be given
back by the system, so that memory does not grow with the rows; the files vanish however the process ends.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streameval.files import storage_errors


class Column:
    """A growing nameless file of numbers of one kind. Raises StorageError if there is no room."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any]) -> None:
        self._file, self._dtype = file, dtype
        self._entries = 0

    def __len__(self) -> int:
        return self._entries

    def write(self, values: NDArray[Any]) -> None:
        """Add the values, of any shape, row by row."""
        # Written, not stored through a mapping: a full disk is then an error and not the end of the process.
        with storage_errors(tempfile.gettempdir()):
            self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._entries += values.size

    def mapped(self) -> NDArray[Any]:
        """All that was written (n,), which stays when the file is closed."""
        if self._entries == 0:
            return np.empty(0, self._dtype)
        with storage_errors(tempfile.gettempdir()):
            self._file.flush()
            return np.asarray(np.memmap(self._file, self._dtype, "r"))


@contextlib.contextmanager
def column(dtype: type[np.generic]) -> Iterator[Column]:
    """Yield a new column; arrays that were mapped from it stay when the block is left."""
    with storage_errors(tempfile.gettempdir()), tempfile.TemporaryFile(prefix="streameval-") as file:
        yield Column(file, np.dtype(dtype))
