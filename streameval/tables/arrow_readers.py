"""Parquet and Arrow files, and whatever streams record batches, as tables, by pyarrow.

Knows pyarrow. Does not know what columns mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streameval.tables.sized import SizedFile
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table, What, check_distinct
from streameval.tables.told import told
from streameval.tables.values import is_list

# Bytes of a batch that is decoded at once: rows of large images come fewer at a time.
BATCH_BYTES = 64 << 20


def parquet(path: str) -> Table:
    """A Parquet file, read by row groups."""
    import pyarrow.parquet as pq

    with told(path), pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        row_bytes = sum(file.metadata.row_group(k).total_byte_size for k in range(file.num_row_groups))
    columns, at_once = kinds(path, schema), _rows_at_once(row_bytes, rows)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        with told(path), pq.ParquetFile(path) as file:
            yield from parts(path, file.iter_batches(at_once, columns=list(wanted)), wanted)

    return Table(path, path, "a Parquet file", columns, read, (path,), rows)


def arrow(path: str) -> Table:
    """An Arrow IPC file or stream, Feather version 2."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        # Read, not mapped: a file that is cut short is then an error.
        with SizedFile(path) as sized, pa.PythonFile(sized, "r") as file:
            if file.read(6) == b"ARROW1":
                reader = pa.ipc.open_file(file)
                yield reader.schema
                yield from (reader.get_batch(k) for k in range(reader.num_record_batches))
            else:
                file.seek(0)
                stream = pa.ipc.open_stream(file)
                yield stream.schema
                yield from stream

    with told(path):
        columns = kinds(path, next(batches()))

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        with told(path):
            found = batches()
            next(found)
            yield from parts(path, found, wanted, check=True)

    return Table(path, path, "an Arrow file", columns, read, (path,))


def parts(name: str, batches: Iterable[Any], wanted: Sequence[str], *, check: bool = False) -> Iterator[Part]:
    """Record batches as parts, cut where they are large.

    check  validate what another program made
    """
    first = 0
    for batch in batches:
        if check:
            batch.validate(full=True)
        places = {one: k for k, one in enumerate(batch.schema.names)}
        at_once = _rows_at_once(batch.nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, at_once):
            cut = batch.slice(start, at_once)
            yield Part(name, first + start, {one: cut.column(places[one]) for one in wanted})
        first += batch.num_rows


def kinds(name: str, schema: Any) -> dict[str, Kind]:
    """The columns of a schema. Raises DataError for a name that comes twice."""
    check_distinct(name, schema.names, schema.names)
    classes = class_names(schema.metadata)
    return {field.name: Kind(_what(field.type), str(field.type), classes.get(field.name)) for field in schema}


def class_names(metadata: Any) -> dict[str, tuple[str, ...]]:
    """The names of classes that Hugging Face's metadata of a schema say, by column."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: one.get("names") for name, one in features.items() if one.get("_type") == "ClassLabel"}
        return {name: tuple(map(str, names)) for name, names in found.items() if names}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _what(kind: Any) -> What:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if any(test(kind) for test in _number_tests()):
        return "number"
    if is_list(kind):
        return "list" if _what(kind.value_type) in ("number", "list") else "other"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "image"
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return "image"
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return "text" if any(test(kind) for test in text) else "other"


def _number_tests() -> tuple[Any, ...]:
    import pyarrow as pa

    types = pa.types
    # A column without any value is of type null: it is told when its rows are read.
    return types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null


def _rows_at_once(size: int, rows: int) -> int:
    """How many rows are decoded at once, of `rows` that take `size` bytes."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // size if size else BATCH_ROWS))
