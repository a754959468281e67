"""Archives of NumPy arrays (.npz) as tables, read piece by piece. Knows their headers alone."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval import npy_header
from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.tables.columns import FEATURES, TARGETS
from streameval.tables.sized import opened_zip
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table
from streameval.tables.told import told_of_archives

# Kinds of dtypes of names: text, bytes, objects.
TEXT: Final = ("U", "S", "O")
MOST_ROW_BYTES: Final = 1 << 30
MOST_AT_ONCE: Final = 64 << 20


@frozen
class Array:
    """An array of a file: what messages call it and what saves it, its shape and the type of its numbers.

    dtype  object where the type, which is `descr` in the file, is none of plain numbers
    """

    name: str
    saved_by: str
    shape: tuple[int, ...]
    descr: str
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, file: IO[bytes], at_once: int) -> Iterator[NDArray[Any]]:
        """Yield its rows, `at_once` at a time, from a file whose header was read.

        Raises DataError for a file that ends before the rows do, or goes on after them.
        """
        for start in range(0, self.shape[0], at_once):
            count = min(at_once, self.shape[0] - start)
            raw = file.read(count * self.row_bytes)
            if len(raw) != count * self.row_bytes:
                raise DataError(
                    f"{self.name}: it ends before row {start + count} of {self.shape[0]}. Save it again with "
                    f"{self.saved_by}."
                )
            yield np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])
        if file.read(1):
            raise DataError(
                f"{self.name}: it goes on after its {self.shape[0]} rows. Save it again with {self.saved_by}."
            )


def npz(path: str) -> Table:
    """Several arrays of as many rows, each a column under its name."""
    arrays, members = _arrays(path)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        lengths = {name: arrays[name].shape[0] for name in wanted}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{path}: arrays of {', '.join(f'{rows} rows ({name})' for name, rows in lengths.items())}, expected "
                "as many in each."
            )
        at_once = min(max(1, MOST_AT_ONCE // max(1, arrays[name].row_bytes)) for name in wanted)
        at_once = min(BATCH_ROWS, at_once)
        with opened_archive(path) as archive, contextlib.ExitStack() as stack:
            files = {name: stack.enter_context(archive.open(members[name])) for name in wanted}
            for name in wanted:
                header_of(path, files[name], name)
            rows = {name: arrays[name].rows(files[name], at_once) for name in wanted}
            for first in range(0, lengths[wanted[0]], at_once):
                yield Part(path, first, {name: next(rows[name]) for name in wanted})
            for one in rows.values():
                next(one, None)  # looks whether the file goes on

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


def members_of(path: str, archive: zipfile.ZipFile) -> dict[str, str]:
    """The members of an archive that hold arrays, by the arrays' names. Raises DataError for a name that is twice."""
    found: dict[str, str] = {}
    for one in archive.infolist():
        name = one.filename.removesuffix(".npy")
        if name == one.filename:
            continue
        if name in found:
            raise DataError(f"{path}: array {name[:60]!r} is there twice. Save it again with np.savez.")
        found[name] = one.filename
    return found


def header_of(path: str, file: IO[bytes], name: str | None = None) -> Array:
    """The header of a .npy file, or of array `name` of an archive; its numbers follow.

    Raises DataError for what is no array in row-major order.
    """
    where = path if name is None else f"{path}, {name}"
    saved_by = "np.save" if name is None else "np.savez"
    start = file.read(10)
    start += file.read(2) if start[6:7] > b"\1" else b""
    start += file.read(min(int.from_bytes(start[8:], "little"), npy_header.MAX_HEADER))
    try:
        header = npy_header.parse(start)
    except npy_header.MalformedHeaderError as error:
        raise DataError(f"{where}: {error}. Save it again with {saved_by}.") from None
    if header.fortran_order and len(header.shape) > 1:
        array = f"{'' if name is None else f'{name}='}np.ascontiguousarray(array)"
        raise DataError(
            f"{where}: in column-major order, expected row-major. Save it again: {saved_by}(path, {array})"
        )
    dtype = np.dtype(header.descr) if header.is_plain else np.dtype(object)
    return Array(where, saved_by, header.shape, header.descr, dtype)


@contextlib.contextmanager
def opened_archive(path: str) -> Iterator[zipfile.ZipFile]:
    """Yield an archive that is open for reading; what is raised where it is damaged becomes DataError."""
    with told_of_archives(path, "archive", "Save it again with np.savez."), opened_zip(path) as archive:
        yield archive


def _arrays(path: str) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays of an archive, and their members, by name."""
    found: dict[str, Array] = {}
    with opened_archive(path) as archive:
        members = members_of(path, archive)
        for name, member in members.items():
            with archive.open(member) as file:
                found[name] = header_of(path, file, name)
    if not found:
        raise DataError(f"{path}: no arrays, expected those of np.savez: x and t.")
    return found, members


def _kind(array: Array) -> Kind:
    said = f"{array.dtype.name} {array.shape}"
    plain = array.dtype.kind in "biuf" and 0 not in array.shape[1:] and array.row_bytes <= MOST_ROW_BYTES
    if not plain or not array.shape:
        return Kind("text" if array.descr[1:2] in TEXT else "other", said)
    return Kind("number" if len(array.shape) == 1 else "list", said)
