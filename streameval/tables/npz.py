"""Archives of NumPy arrays (.npz) as tables, read piece by piece. Knows their headers alone."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval import npy_header
from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.tables.columns import FEATURES, TARGETS
from streameval.tables.sized import opened_zip
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table

MOST_ROW_BYTES: Final = 1 << 30
MOST_AT_ONCE: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Array:
    """An array of an archive: the member that holds it, its shape and the type of its numbers."""

    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def npz(path: str) -> Table:
    """Several arrays of as many rows, each a column under its name."""
    arrays = _arrays(path)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        lengths = {name: arrays[name].shape[0] for name in wanted}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{path}: arrays of {', '.join(f'{rows} rows ({name})' for name, rows in lengths.items())}, expected "
                "as many in each."
            )
        at_once = min(max(1, MOST_AT_ONCE // max(1, arrays[name].row_bytes)) for name in wanted)
        at_once, rows = min(BATCH_ROWS, at_once), lengths[wanted[0]]
        with _told(path), opened_zip(path) as archive, contextlib.ExitStack() as stack:
            files = {name: stack.enter_context(archive.open(arrays[name].member)) for name in wanted}
            for name in wanted:
                _header(f"{path}, {name}", files[name])
            for first in range(0, rows, at_once):
                count = min(at_once, rows - first)
                columns = {
                    name: _rows(f"{path}, {name}", files[name], arrays[name], count) for name in wanted
                }
                yield Part(path, first, columns)
            for name in wanted:
                if files[name].read(1):
                    raise DataError(
                        f"{path}, {name}: it goes on after its {rows} rows. Save it again with np.savez."
                    )

    columns = {name: _kind(array) for name, array in arrays.items()}
    return Table(path, path, "a .npz file", columns, read, (path,))


def holds_data(path: str) -> bool:
    """Whether the names in an archive are those of a data set, and not of weights."""
    try:
        with opened_zip(path) as archive:
            names = {one.removesuffix(".npy").lower() for one in archive.namelist() if one.endswith(".npy")}
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeError):
        return False
    return bool(names & FEATURES and names & TARGETS)


def _arrays(path: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    with _told(path), opened_zip(path) as archive:
        for one in archive.infolist():
            name = one.filename.removesuffix(".npy")
            if name == one.filename:
                continue
            if name in found:
                raise DataError(f"{path}: array {name[:60]!r} is there twice. Save it again with np.savez.")
            with archive.open(one) as file:
                found[name] = _header(f"{path}, {name}", file, one.filename)
    if not found:
        raise DataError(f"{path}: no arrays, expected those of np.savez: x and t.")
    return found


def _header(name: str, file: IO[bytes], member: str = "") -> Array:
    """The header of an array; its numbers follow. Raises DataError for what is no array in row-major order."""
    start = file.read(10)
    start += file.read(2) if start[6:7] > b"\1" else b""
    start += file.read(min(int.from_bytes(start[8:], "little"), npy_header.MAX_HEADER))
    try:
        header = npy_header.parse(start)
    except npy_header.MalformedHeaderError as error:
        raise DataError(f"{name}: {error}. Save it again with np.savez.") from None
    if header.fortran_order and len(header.shape) > 1:
        raise DataError(
            f"{name}: in column-major order, expected row-major. Save it again: "
            f"np.savez(path, {name.rsplit(', ')[-1]}=np.ascontiguousarray(array))"
        )
    dtype = np.dtype(header.descr) if header.is_plain else np.dtype(object)
    return Array(member, header.shape, dtype)


def _kind(array: Array) -> Kind:
    said = f"{array.dtype.name} {array.shape}"
    plain = array.dtype.kind in "biuf" and 0 not in array.shape[1:] and array.row_bytes <= MOST_ROW_BYTES
    if not plain or not array.shape:
        return Kind("other", said)
    return Kind("number" if len(array.shape) == 1 else "list", said)


def _rows(name: str, file: IO[bytes], array: Array, count: int) -> NDArray[Any]:
    raw = file.read(count * array.row_bytes)
    if len(raw) != count * array.row_bytes:
        raise DataError(f"{name}: it ends before its {array.shape[0]} rows do. Save it again with np.savez.")
    return np.frombuffer(raw, array.dtype).reshape(count, *array.shape[1:])


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what a damaged archive raises into DataError."""
    try:
        with storage_errors(path):
            yield
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, UnicodeError,
    ) as error:  # fmt: skip
        raise DataError(f"{path}: a damaged archive ({error}). Save it again with np.savez.") from None
