"""Whether a file stays what it is while it is read. Knows its size, time and number. Does not know what is in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.outputs.formats import file_of


@contextlib.contextmanager
def unchanged(data: Any) -> Iterator[None]:
    """Raise DataError at the end of the block if the file at `data` changed in it; a table in memory cannot."""
    path = file_of(data) if isinstance(data, str | os.PathLike) else None
    before = None if path is None else _stat(path)
    yield
    if path is not None and before != _stat(path):
        raise DataError(f"{path}: the file changed while it was read. Let no one write to it, and run again.")


def _stat(path: str) -> tuple[int, int, int]:
    with storage_errors(path):
        stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
