"""One further column of the Arrow files of a data set, such as the document that a row is of.

Knows columns by name. Does not know what their values mean; features and targets are read by `arrow`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.storage.mapping import File


def read_column(path: str | os.PathLike[str], name: str, stamp: Sequence[int] | None = None) -> NDArray[Any]:
    """Return the column `name` of an Arrow IPC file as (rows,) numbers; strings and bytes as strings.

    Read batch by batch: other columns are not touched. A file that is no Arrow file, a column that is not there, of
    lists or structs, or with nulls is a DataError that says what there is.

    stamp  of the file that is meant (`File.stamp`): another one at its path by now is a DataError as well
    """
    import pyarrow as pa

    where = os.fspath(path)
    with contextlib.closing(File(where)) as file:
        if stamp is not None and list(file.stamp) != list(stamp):
            raise DataError(
                f"{where}: the file changed since the data set was opened: (size, mtime_ns, ctime_ns, inode) were "
                f"{tuple(stamp)}, found {file.stamp}. Open the data set again."
            )
        try:
            # What was looked at is what is read: one descriptor.
            reader = pa.ipc.open_file(pa.py_buffer(file.map().bytes))
            names = reader.schema.names
            if name not in names:
                raise UsageError(
                    f"{where}: no column {name!r}. Expected one of {', '.join(map(repr, names))}."
                )
            place = names.index(name)
            pieces = [_values(reader.get_batch(k), place, where) for k in range(reader.num_record_batches)]
        except pa.ArrowException as error:
            raise DataError(
                f"{where}: column {name!r} cannot be read: {error}. Expected an Arrow file; give groups of other "
                "data as an array: evaluate(..., groups=array)."
            ) from None
        file.check_unchanged()
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def column_of(source: Any, name: str) -> NDArray[Any]:
    """Return the column `name` of all files of a data set that is open, one after another, (rows,).

    Raises UsageError for a data set that is neither Arrow files nor a table, and the errors of `read_column`.
    """
    own = getattr(source, "column", None)
    if own is not None:
        return np.asarray(own(name))
    files = [file for file in source.files if Path(file).suffix.lower() == ".arrow"]
    if not files or len(files) != len(source.files):
        raise UsageError(
            f"{source.name}: column {name!r} was asked for, but only Arrow files and tables have further columns. Give "
            "an array of one value for each row instead: groups=array in Python."
        )
    values = np.concatenate(
        [read_column(file, name, stamp) for file, stamp in zip(files, source.stamps(), strict=True)]
    )
    if len(values) != source.rows:
        raise DataError(f"{source.name}: column {name!r} has {len(values)} values for {source.rows} rows.")
    return values


def _values(batch: Any, place: int, where: str) -> NDArray[Any]:
    import pyarrow as pa

    batch.validate(full=True)
    column, name = batch.column(place), batch.schema.names[place]
    if column.null_count:
        raise DataError(
            f"{where}: column {name!r} has {column.null_count} nulls in one batch, expected none. Fill them: rows "
            "that stand alone get a value of their own."
        )
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_nested(kind):
        raise DataError(f"{where}: column {name!r} is of type {kind}, expected numbers or strings.")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.array([str(value) for value in column.to_pylist()], dtype=np.str_)
