"""A file that is never asked for more than it has: a length inside it that lies costs no memory.

Knows sizes. Others would set as many bytes aside as they ask for, before they see that the file is shorter.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self


@contextlib.contextmanager
def opened_zip(path: str) -> Iterator[zipfile.ZipFile]:
    """Yield an archive that is open for reading."""
    with SizedFile(path) as file:
        readable: Any = file
        with zipfile.ZipFile(readable) as archive:
            yield archive


class SizedFile:
    """A file for reading, as `zipfile` and pyarrow (`pa.PythonFile`) use one."""

    def __init__(self, path: str) -> None:
        self._file = io.BufferedReader(io.FileIO(path))
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, all that follow for None or less than 0."""
        left = max(0, self.size - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `io.IOBase`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    @property
    def closed(self) -> bool:
        """See `io.IOBase`."""
        return self._file.closed

    def close(self) -> None:
        """See `io.IOBase`."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
