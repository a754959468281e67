"""What pyarrow, zipfile and the system raise, as errors of the project. Knows no format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from streameval.errors import DataError
from streameval.files import storage_errors

SAID = 300


def damaged(name: str, error: Exception) -> DataError:
    """What a reader of pyarrow said of a file."""
    return DataError(
        f"{name}: it cannot be read: {_said(error)}. Restore it from a good copy, or write it again."
    )


def _said(error: Exception) -> str:
    """What an error says, which may be content of the file: in one line, cut off."""
    return " ".join(str(error).split())[:SAID]


@contextlib.contextmanager
def told(name: str, damage: Callable[[str, Exception], DataError] = damaged) -> Iterator[None]:
    """Turn what pyarrow raises into DataError, by `damage`; what the system says stays what it is."""
    import pyarrow as pa

    try:
        with storage_errors(name):
            try:
                yield
            except OSError as error:
                if error.errno is None:  # damaged content, which pyarrow raises as this too
                    raise damage(name, error) from None
                raise
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
        raise damage(name, error) from None


@contextlib.contextmanager
def told_of_columns(name: str) -> Iterator[None]:
    """Turn what is said of columns that Arrow has no form for, as pandas' sparse or mixed ones, into DataError."""
    import pyarrow as pa

    try:
        yield
    except (TypeError, OverflowError, pa.ArrowException) as error:
        raise DataError(
            f"{name}: it does not become an Arrow table ({_said(error)}). Give columns that do, of one type each: of a "
            "sparse column of pandas, frame[column].sparse.to_dense(); of mixed values, frame[column].astype(float), "
            "or .astype(str); of complex ones, two columns of .to_numpy().real and .imag."
        ) from None


@contextlib.contextmanager
def told_of_archives(name: str, what: str, cure: str) -> Iterator[None]:
    """Turn what a damaged zip raises into DataError: `what` it is, and the `cure`."""
    import struct
    import zipfile
    import zlib

    try:
        with storage_errors(name):
            yield
    except (
        zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, RuntimeError, UnicodeError,
    ) as error:  # fmt: skip
        raise DataError(f"{name}: a damaged {what} ({_said(error)}). {cure}") from None
