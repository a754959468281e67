"""Arrays of NumPy (.npy, .npz) as tables of saved outputs, read piece by piece. Knows their headers alone."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streameval import npy_header
from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.outputs.table import BATCH_ROWS, Table, Values
from streameval.tables.sized import opened_zip

# Of a single row: a thousand million classes are none.
MAX_ROW_BYTES = 64 << 20


def npy(path: str) -> Table:
    """One array: a column "loss" of numbers (n,)."""
    with _told(path), Path(path).open("rb") as file:
        _Header.read(path, file)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with _told(path), Path(path).open("rb") as file:
            for rows in _Header.read(path, file).rows(path, file):
                yield dict.fromkeys(wanted, rows)

    return Table(path, path, "npy", ("loss",), read)


def npz(path: str) -> Table:
    """Several arrays of as many rows, each a column under its name."""
    with _told(path), opened_zip(path) as archive:
        names = {
            one.filename.removesuffix(".npy"): one.filename
            for one in archive.infolist()
            if one.filename.endswith(".npy")
        }

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with _told(path), opened_zip(path) as archive, contextlib.ExitStack() as stack:
            pieces = {}
            for name in wanted:
                file = stack.enter_context(archive.open(names[name]))
                pieces[name] = _Header.read(f"{path}, {name}", file).rows(f"{path}, {name}", file)
            while parts := {
                name: part for name, one in pieces.items() if (part := next(one, None)) is not None
            }:
                lengths = {name: len(parts.get(name, ())) for name in wanted}
                if len(set(lengths.values())) > 1:
                    raise DataError(
                        f"{path}: arrays of different lengths ({', '.join(wanted)}), expected one entry a row in each."
                    )
                yield parts

    return Table(path, path, "npz", tuple(names), read)


class _Header:
    """The header of an array: its shape and the type of its numbers."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype

    @classmethod
    def read(cls, name: str, file: IO[bytes]) -> _Header:
        """Read it; the numbers follow. Raises DataError for what is no array of numbers in row-major order."""
        start = file.read(10)
        start += file.read(2) if start[6:7] > b"\1" else b""
        start += file.read(min(int.from_bytes(start[8:], "little"), npy_header.MAX_HEADER))
        try:
            header = npy_header.parse(start)
        except npy_header.MalformedHeaderError as error:
            raise DataError(f"{name}: {error}. Save it again with np.save.") from None
        shape = header.shape
        if not header.is_plain or not shape or len(shape) > 2 or 0 in shape[1:]:
            raise DataError(
                f"{name}: {header.descr} of shape {shape}, expected numbers (rows,) or (rows, classes). Save it again."
            )
        if header.fortran_order and len(shape) == 2:
            raise DataError(
                f"{name}: in column-major order, expected row-major. Save it again: "
                "np.save(path, np.ascontiguousarray(array))"
            )
        dtype = np.dtype(header.descr)
        if math.prod(shape[1:]) * dtype.itemsize > MAX_ROW_BYTES:
            raise DataError(f"{name}: rows of {shape[1:]} numbers, expected at most {MAX_ROW_BYTES} bytes.")
        return cls(shape, dtype)

    def rows(self, name: str, file: IO[bytes]) -> Iterator[NDArray[Any]]:
        """Yield the rows, some thousand at a time. Raises DataError where the file ends before."""
        width = math.prod(self.shape[1:])
        for start in range(0, self.shape[0], BATCH_ROWS):
            count = min(BATCH_ROWS, self.shape[0] - start)
            raw = file.read(count * width * self.dtype.itemsize)
            if len(raw) != count * width * self.dtype.itemsize:
                raise DataError(
                    f"{name}: it ends before row {start + count} of {self.shape[0]}. Save it again."
                )
            yield np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])
        if file.read(1):
            raise DataError(f"{name}: it goes on after its {self.shape[0]} rows. Save it again with np.save.")


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what a damaged archive raises into DataError."""
    try:
        with storage_errors(path):
            yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        EOFError,
        RuntimeError,
        UnicodeError,
    ) as error:
        raise DataError(f"{path}: a damaged archive ({error}). Save it again with np.savez.") from None
