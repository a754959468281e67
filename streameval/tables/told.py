"""What pyarrow, zipfile and the system raise, as errors of the project. Knows no format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from streameval.errors import DataError
from streameval.files import storage_errors


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what pyarrow raises into DataError; what the system says stays what it is."""
    import pyarrow as pa

    try:
        with storage_errors(name):
            try:
                yield
            except OSError as error:
                if error.errno is None:  # damaged content, which pyarrow raises as this too
                    raise damaged(name, error) from None
                raise
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
        raise damaged(name, error) from None


def damaged(name: str, error: Exception) -> DataError:
    """What a reader of pyarrow said of a file."""
    said = " ".join(str(error).split())[:300]
    return DataError(f"{name}: it cannot be read: {said}. Restore it from a good copy, or write it again.")
