"""Tables in memory and streams of record batches: frames, Arrow tables, readers, Hugging Face's data sets.

Knows how each of them is told by its type, and imports none of their packages. Does not know what columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from streameval.errors import UsageError
from streameval.tables import torch_data
from streameval.tables.arrow_readers import kinds, parts
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table
from streameval.tables.told import told, told_of_columns

NAME: Final = "<table>"
# What pandas makes of an index that does not just count.
INDEX: Final = "__index_level_"
# What can be streamed more than once.
LASTING: Final = ("pyarrow.lib.Table", "pyarrow.lib.RecordBatch", "pandas", "polars")


def opener(data: object) -> Callable[[Any], Table] | None:
    """What makes a table of this, None where it is none that is known."""
    if _is_of(data, "datasets", ("Dataset", "IterableDataset", "DatasetDict", "IterableDatasetDict")):
        return hugging_face
    if _is_of(data, "torch", ("DataLoader",)):
        return torch_data.loader
    if _is_of(data, "torch", ("Dataset",)):
        return torch_data.data_set
    if hasattr(data, "__arrow_c_stream__"):
        return streamed
    if _is_of(data, "pyarrow", ("Dataset", "Scanner")):
        return lambda given: streamed(given.scanner() if hasattr(given, "scanner") else given)
    if _is_of(data, "pandas", ("DataFrame",)):
        return streamed
    return None


def streamed(data: Any) -> Table:
    """A table, a frame, a reader of record batches, or anything else with `__arrow_c_stream__`."""
    with told(NAME), told_of_columns(NAME):
        waiting = [_reader(data)]
        columns = {
            name: kind for name, kind in kinds(NAME, waiting[0].schema).items() if not name.startswith(INDEX)
        }
    kind = f"{type(data).__module__}.{type(data).__name__}"
    lasting = kind.startswith(LASTING)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        if not waiting and not lasting:
            raise UsageError(f"{NAME}: this {kind} is a stream that was read already. Open it anew.")
        with told(NAME):
            yield from parts(NAME, waiting.pop() if waiting else _reader(data), wanted, check=not lasting)

    return Table(
        NAME, None, f"a {kind}", columns, read, rows=_length(data) if lasting else None, once=not lasting
    )


def hugging_face(data: Any) -> Table:
    """A `datasets.Dataset` or `IterableDataset`, as its rows are stored, without the transforms of its format."""
    if isinstance(data, dict):
        splits = ", ".join(map(repr, list(data)[:8]))
        raise UsageError(
            f"{NAME}: a {type(data).__name__} of the splits {splits}, expected one. Give "
            f"data[{next(iter(data))!r}]."
        )
    plain = data.with_format("arrow")
    with told(NAME):
        schema = data.features.arrow_schema if data.features is not None else next(plain.iter(1)).schema
        columns = kinds(NAME, schema)
    for name, feature in (data.features or {}).items():
        names = getattr(feature, "names", None)
        if names and name in columns:
            columns[name] = Kind(columns[name].what, columns[name].type, tuple(map(str, names)))
    images = {name for name, kind in columns.items() if kind.what == "image"}

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        first = 0
        for table in plain.iter(BATCH_ROWS):
            with told(NAME):
                (batch,) = table.combine_chunks().to_batches() or (None,)
            if batch is None:
                continue
            for part in parts(NAME, [batch], wanted):
                found = {name: _embedded(part.columns[name]) for name in wanted if name in images}
                yield Part(NAME, first + part.first, {**part.columns, **found})
            first += batch.num_rows

    notes: tuple[str, ...] = ()
    if (getattr(data, "format", None) or {}).get("type") == "custom":
        notes = ("Its transform (set_transform) is left out: rows are taken as they are stored",)
    return Table(
        NAME, None, f"a datasets.{type(data).__name__}", columns, read, rows=_length(data), notes=notes
    )


def _reader(data: Any) -> Any:
    import pyarrow as pa

    if isinstance(data, pa.RecordBatchReader):
        return data
    if hasattr(data, "to_reader"):
        return data.to_reader()
    if not hasattr(data, "__arrow_c_stream__"):
        return pa.Table.from_pandas(data, preserve_index=False).to_reader()
    return pa.RecordBatchReader.from_stream(data)


def _embedded(values: Any) -> list[Any]:
    """Images as they are stored; of those that lie in files beside the data set, their paths."""
    rows = values.to_pylist()
    return [
        Path(one["path"]) if isinstance(one, dict) and one.get("bytes") is None and one.get("path") else one
        for one in rows
    ]


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except (TypeError, NotImplementedError, AttributeError):
        return getattr(data, "num_rows", None)


def _is_of(data: object, package: str, names: Sequence[str]) -> bool:
    """Whether something is of one of these types of a package, or of a type derived from one."""
    found = ((one.__module__.partition(".")[0], one.__name__) for one in type(data).__mro__)
    return any(module == package and name in names for module, name in found)
