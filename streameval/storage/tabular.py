"""Tables as data sets: decoded once, batch by batch, into temporary files that are mapped.

Knows `tables` and spools. Does not know any format. What `convert` writes is read from the same temporary files, so
that a table and what was converted from it have the same rows, bit for bit.
"""

from __future__ import annotations

import math
import warnings
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, StreamevalWarning, UsageError
from streameval.storage import block_hashes
from streameval.storage.access import Access, PlainRows
from streameval.storage.layout import Layout, check_shape, one_batch
from streameval.storage.mapping import File
from streameval.storage.narrowing import FEW_LEVELS, Narrowing, not_scaled
from streameval.storage.reading import ReadOptions, access_to
from streameval.storage.spooling import Spool, check_room, spool
from streameval.storage.stored import StoredSource
from streameval.tables.columns import Roles, choose
from streameval.tables.rows import Rows, decoded, name_of
from streameval.tables.table import Table, listed
from streameval.tables.values import named

# Temporary files from here on are told.
LARGE = 64 << 20


class SpooledSource(StoredSource):
    """Rows of a table, decoded into temporary files. Fulfils `Source`.

    `files`, `stamps` and `check_unchanged` are about the files of the table. `needs_converting` says what workers of an
    engine are told, who would have to decode it all again.
    """

    needs_converting = True

    def __init__(self, table: Table, layout: Layout, access: Access, options: ReadOptions) -> None:
        super().__init__(layout, access, options.scale, options.io)
        self._table = table

    def column(self, name: str) -> NDArray[Any]:
        """A further column of the table, read once more: numbers or text, (rows,).

        Raises UsageError for a name that there is none of, and for a stream, which is read once; DataError as
        `tables.values.named`.
        """
        table = self._table
        if name not in table.columns:
            raise UsageError(f"{self.name}: no column {name!r}. Its columns: {listed(table.columns)}.")
        if table.once:
            raise UsageError(
                f"{self.name}: column {name!r} was asked for, but a stream is read once. Convert it, or give an array "
                "of one value for each row: groups=array."
            )
        parts = [
            named(f"{part.file}, column {name!r}", part.columns[name], part.first)
            for part in table.read((name,))
        ]
        self.check_unchanged()
        found = np.concatenate(parts)
        if len(found) != self.rows:
            raise DataError(f"{self.name}: column {name!r} has {len(found)} values for {self.rows} rows.")
        return found

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the content: that of the same rows in any other form, all of them hashed."""
        return block_hashes.fingerprint(self, block_hashes.hashes_of(self))


class Original:
    """A way to get at rows that says which files they came from, in place of the temporary ones."""

    def __init__(self, access: Access, files: tuple[File, ...], spool: tuple[File, File]) -> None:
        self._access, self.files, self._spool = access, files, spool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._access, name)


def open_table(table: Table, options: ReadOptions) -> SpooledSource:
    """Decode a table into temporary files, and return it as a data set.

    A StreamevalWarning says that, which columns were taken where nobody named them, and what may be meant otherwise.

    Raises:
        UsageError: it is not clear which columns are meant. DataError, LabelError: as `tables.rows.decoded`; no rows;
            numbers that are no pixels and no float32; a file that changed meanwhile.
        StorageError: no room in the folder of temporary files.
    """
    roles = choose(table, options.columns)
    files = tuple(File(path) for path in table.files)
    seen = Narrowing(options.scale is not None)
    with spool() as kept:
        shape = _fill(kept, table, roles, seen)
        seen.check()
        for file in files:
            file.check_unchanged()
        layout = _layout(table, roles, kept, shape)
        parts = kept.finished()
        # Mapped, or opened once more, while the files have their names.
        access: Any = Original(access_to(PlainRows(layout, *parts), options), files, parts)
    source = SpooledSource(table, layout, access, options)
    said = _said(source, table, roles, seen, options)
    if said:
        warnings.warn(said, StreamevalWarning, stacklevel=2)
    return source


def _fill(kept: Spool, table: Table, roles: Roles, seen: Narrowing) -> tuple[int, ...]:
    """Add all rows; return the shape of one."""
    shape: tuple[int, ...] = ()
    for rows in decoded(table, roles):
        x = seen.narrow(rows.x, partial(_place, roles, rows))
        t = rows.t if rows.t.ndim == 1 else rows.t.astype(np.float32)
        if not shape:
            shape = x.shape[1:]
            check_shape(table.name, shape)
            row_bytes = math.prod(shape) * x.itemsize + t.itemsize * math.prod(t.shape[1:])
            check_room(table.name, (table.rows or len(x)) * row_bytes)
        kept.add(x, t)
    if not shape:
        raise DataError(f"{table.name}: no rows, expected at least one.")
    return shape


def _place(roles: Roles, rows: Rows, row: int, entry: int) -> str:
    return f"{rows.part.file}, {name_of(roles, rows.x.shape[1:], entry)}, row {rows.part.first + row}"


def _layout(table: Table, roles: Roles, kept: Spool, shape: tuple[int, ...]) -> Layout:
    soft = kept.t_dtype.kind == "f"
    names = table.columns[roles.target[0]].classes
    classes = kept.width if soft else None if names is None else len(names)
    starts, value_at, label_at = one_batch(kept.rows, 0, 0)
    return Layout(
        name=table.name,
        path=table.path,
        shape=shape,
        dtype=np.dtype(kept.dtype),
        classes=classes,
        scale=None,
        soft=soft,
        label_dtype=kept.t_dtype,
        width=kept.width,
        starts=starts,
        value_at=value_at,
        label_at=label_at,
    )


def _said(source: SpooledSource, table: Table, roles: Roles, seen: Narrowing, options: ReadOptions) -> str:
    """What was done, and what was taken as what; nothing where a small table was read as it was asked for."""
    size = source.rows * (source.features * source.dtype.itemsize + 8)
    said = [f"{table.name}: {table.format}, copied to temporary files of {(size >> 20) + 1} MiB"]
    if roles.guessed:
        said[0] += f"; by their names {roles.said()} were taken"
    said += table.notes
    if source.dtype == np.uint8 and options.scale is None and seen.largest <= FEW_LEVELS:
        said.append(
            f"Its features are integers up to {seen.largest}, taken as pixels and scaled by 1/255; to take them as "
            "they are: scale=1 (--scale 1)"
        )
    if source.dtype != np.uint8 and options.scale is None and seen.level is not None:
        said += [f"Its {hint}" for hint in [not_scaled(seen.level)] if hint]
    if size < LARGE and not roles.guessed and len(said) == 1:
        return ""
    if table.path is not None and options.hint:
        said.append(f"`streameval convert {table.path} NAME.arrow` writes what is mapped at once")
    return ". ".join(said) + "."
