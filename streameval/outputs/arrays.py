"""Arrays of NumPy (.npy, .npz) as tables of saved outputs, read piece by piece. `tables.npz` knows their headers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.outputs.table import BATCH_ROWS, Table, Values
from streameval.tables.npz import Array, header_of, members_of, opened_archive

# Of a single row: a thousand million classes are none.
MAX_ROW_BYTES = 64 << 20


def npy(path: str) -> Table:
    """One array: a column "loss" of numbers (n,)."""
    with storage_errors(path), Path(path).open("rb") as file:
        shape = _checked(header_of(path, file)).shape
    if len(shape) > 1:
        raise DataError(
            f"{path}: one array of shape {shape}, expected one number a row, (rows,). With logits or probabilities "
            "belong the true classes: numpy.savez(path, z=logits, t=labels), then logits='z', label='t' (--logits z "
            "--label-column t)."
        )

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with storage_errors(path), Path(path).open("rb") as file:
            for rows in _checked(header_of(path, file)).rows(file, BATCH_ROWS):
                yield dict.fromkeys(wanted, rows)

    return Table(path, path, "npy", ("loss",), read)


def npz(path: str) -> Table:
    """Several arrays of as many rows, each a column under its name."""
    with opened_archive(path) as archive:
        members = members_of(path, archive)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with opened_archive(path) as archive, contextlib.ExitStack() as stack:
            pieces = {}
            for name in wanted:
                file = stack.enter_context(archive.open(members[name]))
                pieces[name] = _checked(header_of(path, file, name)).rows(file, BATCH_ROWS)
            while parts := {
                name: part for name, one in pieces.items() if (part := next(one, None)) is not None
            }:
                lengths = {name: len(parts.get(name, ())) for name in wanted}
                if len(set(lengths.values())) > 1:
                    raise DataError(
                        f"{path}: arrays of different lengths ({', '.join(wanted)}), expected one entry a row in each."
                    )
                yield parts

    return Table(path, path, "npz", tuple(members), read)


def _checked(array: Array) -> Array:
    """The same. Raises DataError for other than plain numbers, one or a list of them a row."""
    shape = array.shape
    if array.dtype.kind == "O" or not shape or len(shape) > 2 or 0 in shape[1:]:
        raise DataError(
            f"{array.name}: {array.descr} of shape {shape}, expected numbers (rows,) or (rows, classes). Save it again."
        )
    if array.row_bytes > MAX_ROW_BYTES:
        raise DataError(f"{array.name}: rows of {shape[1:]} numbers, expected at most {MAX_ROW_BYTES} bytes.")
    return array
