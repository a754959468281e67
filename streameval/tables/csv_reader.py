"""CSV files as tables, by pyarrow.

Knows lines of names and how pyarrow says what is wrong. Does not know what columns mean.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.tables.arrow_readers import kinds, parts
from streameval.tables.table import Part, Table
from streameval.tables.told import told

# A row is shorter than this.
BLOCK: Final = 8 << 20
PIECE: Final = 1 << 16
# The first line, which goes on where a line breaks within quotes; and what stands in quotes.
FIRST_LINE, QUOTED = re.compile(rb'(?:[^"\r\n]+|"[^"]*"?)*'), re.compile(rb'"[^"]*"?')
NUMBER: Final = re.compile(rb'\s*"?[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"?\s*')
# How pyarrow says where; the first line of a file is row 1.
IN_COLUMN: Final = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", re.DOTALL)
RAGGED: Final = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


def csv(path: str) -> Table:
    """A CSV file with a line of names, raw or compressed (.gz, .bz2, .zst); a tab or semicolon may part its columns."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    line, parting = line_of_names(path)
    _check_names(path, line, parting)
    parsing = pacsv.ParseOptions(delimiter=parting.decode(), newlines_in_values=True)

    def opened(types: dict[str, Any] | None) -> Any:
        options = pacsv.ConvertOptions(
            include_columns=None if types is None else list(types), column_types=types or {}
        )
        # One thread alone says in which row something is.
        reading = pacsv.ReadOptions(block_size=BLOCK, use_threads=False)
        stream = pa.input_stream(path, compression="detect")
        return pacsv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=options)

    with _told(path, ()), opened(None) as reader:
        schema = reader.schema
    columns, names = kinds(path, schema), tuple(schema.names)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        # What is whole in the first block may have a fraction later: all numbers are read alike.
        types = {name: _type(schema.field(name).type) for name in wanted}
        whole = [name for name in wanted if pa.types.is_integer(schema.field(name).type)]
        with _told(path, names), opened(types) as reader:
            for part in parts(path, reader, wanted):
                integers = {name: _integers(part.columns[name]) for name in whole}
                yield Part(part.file, part.first, {**part.columns, **integers})

    return Table(path, path, "a CSV file", columns, read, (path,))


def line_of_names(path: str) -> tuple[bytes, bytes]:
    """The first line of a CSV file, and which of comma, tab and semicolon parts its columns."""
    import pyarrow as pa

    with storage_errors(path), Path(path).open("rb"):
        pass
    with told(path), pa.input_stream(path, compression="detect") as stream:
        line = _first_line(stream)
    parting = max(b",\t;", key=QUOTED.sub(b"", line).count)
    return line, bytes([parting])


def long_row(path: str, error: Exception) -> DataError | None:
    """What is meant where pyarrow says that a row is longer than a block; else None."""
    if "straddles two block boundaries" not in str(error):
        return None
    return DataError(
        f"{path}: it cannot be read: a row is longer than {BLOCK >> 20} MiB, or a quote is never closed. Correct it, "
        "leave its texts out, or write Parquet."
    )


def _first_line(stream: Any) -> bytes:
    """The first line, read in small pieces: pyarrow keeps the buffer of a read that fails."""
    head = b""
    while len(head) < BLOCK and (piece := bytes(stream.read(PIECE))):
        head = (head + piece).removeprefix(b"\xef\xbb\xbf")
        found = FIRST_LINE.match(head)
        if found and found.end() < len(head):
            return found[0]
    return head


def _type(kind: Any) -> Any:
    import pyarrow as pa

    return pa.float64() if pa.types.is_integer(kind) or pa.types.is_null(kind) else kind


def _integers(array: Any) -> Any:
    """Numbers as int64 where all of them are whole."""
    if array.null_count:
        return array
    values = array.to_numpy(zero_copy_only=False)
    whole = np.abs(values) < 2.0**63
    return values.astype(np.int64) if whole.all() and (values == np.floor(values)).all() else values


def _check_names(path: str, line: bytes, parting: bytes) -> None:
    """Raise DataError for a first line that holds numbers, or names in another encoding than UTF-8."""
    fields = line.split(parting)
    if line.strip() and all(NUMBER.fullmatch(one) for one in fields):
        raise DataError(
            f"{path}: its first line holds numbers ({line[:40].decode()!r}), expected the names of its {len(fields)} "
            f"columns. Put a line of names in front: label,{','.join(f'pixel{k}' for k in range(2))},..."
        )
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the names in its first line are not UTF-8 ({error.reason} at byte {error.start}). Write it in "
            "UTF-8: iconv -f latin1 -t utf-8 (or -f utf-16)."
        ) from None


@contextlib.contextmanager
def _told(path: str, names: Sequence[str]) -> Iterator[None]:
    """Turn what pyarrow says of a CSV file into DataError with column and row, counted from 0 after the names."""
    import pyarrow as pa

    with told(path):
        try:
            yield
        except pa.ArrowInvalid as error:
            said = str(error)
            if found := IN_COLUMN.search(said):
                place = int(found[1])
                column = repr(names[place][:60]) if place < len(names) else f"number {place}"
                raise DataError(
                    f"{path}, column {column}, row {int(found[2]) - 2}: {found[3][:60]!r}, expected a number. "
                    "Correct the row, or name other columns."
                ) from None
            if found := RAGGED.search(said):
                raise DataError(
                    f"{path}, row {int(found[1]) - 2} (line {found[1]}): {found[3]} fields, expected {found[2]} as in "
                    "the line of names. Correct the row."
                ) from None
            if too_long := long_row(path, error):
                raise too_long from None
            if "Empty CSV file" in said:
                raise DataError(f"{path}: an empty file, expected a line of names and rows.") from None
            raise
