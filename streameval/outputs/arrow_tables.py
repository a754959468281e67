"""Arrow, Feather, Parquet and CSV files, and tables in memory, as tables of saved outputs, by pyarrow.

Knows pyarrow. Does not know what columns mean.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval import losses
from streameval.arguments import array_or
from streameval.errors import DataError, UsageError
from streameval.outputs.table import BATCH_ROWS, Table, Values
from streameval.tables.csv_reader import BLOCK, line_of_names, long_row
from streameval.tables.sized import SizedFile
from streameval.tables.told import damaged, told, told_of_columns

COMPRESSED = (".gz", ".bz2", ".zst")
# The key and columns of the files that `evaluate --losses` writes.
RECORD, OWN = b"streameval.losses", ("row", "loss")


def arrow(path: str) -> Table:
    """An Arrow IPC file or stream, Feather version 2."""
    with told(path), _opened(path) as (schema, _):
        # Names are decoded here: they may be no text.
        columns, names = _names(schema), tuple(schema.names)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with told(path), _opened(path) as (_, batches):
            for batch in batches:
                batch.validate(full=True)
                yield from _cut(batch, wanted)

    metadata = schema.metadata or {}
    if RECORD in metadata and names == OWN:
        return Table(path, path, "arrow", columns, read, row_id="row", bounds=_bounds(path, metadata[RECORD]))
    return Table(path, path, "arrow", columns, read)


def parquet(path: str) -> Table:
    """A Parquet file, read by row groups; nested columns by "outer.inner"."""
    import pyarrow.parquet as pq

    with told(path):
        columns = _names(pq.read_schema(path))

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with told(path), pq.ParquetFile(path) as file:
            outer = {name if name in file.schema_arrow.names else name.split(".")[0] for name in wanted}
            for batch in file.iter_batches(BATCH_ROWS, columns=sorted(outer)):
                yield from _cut(batch, wanted)

    return Table(path, path, "parquet", columns, read)


def csv(path: str) -> Table:
    """A CSV file with a line of names, raw or compressed (.gz, .bz2, .zst); a tab or semicolon may part its columns."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    line, parting = line_of_names(path)
    if path.endswith(COMPRESSED) and line.lstrip().startswith((b"{", b"[")):
        raise DataError(f"{path}: JSON, which is not read compressed, as CSV is. Decompress it first.")
    parsing = pacsv.ParseOptions(delimiter=parting.decode(), newlines_in_values=True)

    def opened(wanted: Sequence[str] | None) -> Any:
        options = pacsv.ConvertOptions(
            include_columns=None if wanted is None else list(wanted),
            column_types={} if wanted is None else dict.fromkeys(wanted, pa.string()),
            strings_can_be_null=True,
        )
        stream = pa.input_stream(path, compression="detect")
        reading = pacsv.ReadOptions(block_size=BLOCK)
        return pacsv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=options)

    with told(path, _damaged_csv), opened(None) as reader:
        columns = tuple(reader.schema.names)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        with told(path, _damaged_csv), opened(wanted) as reader:
            for batch in reader:
                yield from _cut(batch, wanted)

    return Table(path, path, "csv", columns, read)


def in_memory(data: Any) -> Table:
    """A pyarrow table, a frame of pandas or Polars, anything with `__arrow_c_stream__`, or names with arrays."""
    import pyarrow as pa

    name = "<table>"
    if isinstance(data, Mapping):
        arrays = {str(column): _array(f"{name}, column {column}", values) for column, values in data.items()}
        lengths = {column: len(values) for column, values in arrays.items() if values.ndim}
        if len(lengths) < len(arrays) or len(set(lengths.values())) != 1:
            raise UsageError(
                f"{name}: columns of lengths {lengths}, expected arrays of one length, one entry a row."
            )
        rows = next(iter(lengths.values()))

        def read_arrays(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
            for start in range(0, rows, BATCH_ROWS):
                yield {column: _plain(arrays[column][start : start + BATCH_ROWS]) for column in wanted}

        return Table(name, None, "table", tuple(arrays), read_arrays)
    with told(name), told_of_columns(name):
        table = data if isinstance(data, pa.Table) else pa.table(data)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        for batch in table.to_batches():
            yield from _cut(batch, wanted)

    return Table(name, None, "table", _names(table.schema), read)


def _array(name: str, values: Any) -> NDArray[Any]:
    """What any library calls an array, as NumPy's."""
    cure = "Give one entry a row, all of one length: of a sparse tensor, to_dense()."
    return array_or(DataError, f"{name}:", values, cure)


def _plain(values: Any) -> Values:
    return values if values.dtype.kind in "biuf" else list(values.tolist())


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Iterable[Any]]]:
    """Yield the schema and the record batches of an IPC file or stream."""
    import pyarrow as pa

    # Read, not mapped: a file that is cut short is then an error.
    with SizedFile(path) as sized, pa.PythonFile(sized, "r") as file:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            yield reader.schema, (reader.get_batch(k) for k in range(reader.num_record_batches))
        else:
            file.seek(0)
            stream = pa.ipc.open_stream(file)
            yield stream.schema, stream


def _damaged_csv(path: str, error: Exception) -> DataError:
    return long_row(path, error) or damaged(path, error)


def _names(schema: Any) -> tuple[str, ...]:
    """Columns, and those inside structs by "outer.inner"."""
    import pyarrow as pa

    def below(field: Any, name: str) -> Iterator[str]:
        if pa.types.is_struct(field.type) and name.count(".") < 4:
            for k in range(field.type.num_fields):
                inner = field.type.field(k)
                yield from below(inner, f"{name}.{inner.name}")
        else:
            yield name

    return tuple(name for field in schema for name in below(field, field.name))


def _cut(batch: Any, wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        part = batch.slice(start, BATCH_ROWS)
        yield {name: _values(_column(part, name)) for name in wanted}


def _column(batch: Any, name: str) -> Any:
    import pyarrow.compute as pc

    if name in batch.schema.names:
        return batch.column(batch.schema.names.index(name))
    outer, *inner = name.split(".")
    column = batch.column(batch.schema.names.index(outer))
    # A field of a struct that is missing is missing itself.
    return pc.struct_field(column, inner)


def _values(array: Any) -> Values:
    """Numbers as an array, with NaN for missing floats; lists of one length as (n, length); all else as a list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_floating(kind):
        return np.asarray(pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False))
    if (pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and array.null_count == 0:
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if pa.types.is_decimal(kind):
        return np.asarray(pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(array)
    return list(array.to_pylist())


def _lists(array: Any) -> Values:
    import pyarrow as pa
    import pyarrow.compute as pc

    inner = array.type.value_type
    numbers = pa.types.is_floating(inner) or pa.types.is_integer(inner)
    lengths = pc.list_value_length(array)
    if len(array) and numbers and array.null_count == 0 and pc.min(lengths) == pc.max(lengths):
        flat = pc.cast(array.flatten(), pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(array), -1)
    return list(array.to_pylist())


def _bounds(path: str, record: bytes) -> Any:
    """What the loss that `evaluate --losses` wrote cannot pass."""
    try:
        stored = json.loads(record)
        earlier = {"name": "cross-entropy", "eps": float(stored.get("eps") or 0.0).hex()}
        return losses.from_dict(stored.get("loss") or earlier).bounds
    except (ValueError, AttributeError, TypeError, RecursionError, DataError) as error:
        raise DataError(f"{path}: its record of the loss is damaged ({error}). Write it again.") from None
