"""Files of one JSON object a line as tables.

Knows objects of names with numbers and lists. Does not know what they mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.tables import json_stream
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table

# Of the first records, to say which columns there are; and numbers of rows that are held at once.
LOOKED_AT: Final = 100
MOST_AT_ONCE: Final = 1 << 22
MOST_NAMES: Final = 1 << 17


def jsonl(path: str) -> Table:
    """A file of one JSON object a line; names are those of the first hundred."""

    def records() -> Iterator[dict[str, Any]]:
        with storage_errors(path), Path(path).open("rb") as file:
            for _, record in json_stream.lines(path, file):
                yield record

    columns: dict[str, Kind] = {}
    for record in itertools.islice(records(), LOOKED_AT):
        for name, value in record.items():
            if columns.get(name, _NULL) is _NULL:
                columns[name] = _kind(value)
        if len(columns) > MOST_NAMES:
            raise DataError(f"{path}: over {MOST_NAMES} names, expected those of one table.")
    if not columns:
        raise DataError(f"{path}: no rows, expected one JSON object a line.")
    # The first record may be empty.
    width = max([1, *(_size(one) for one in itertools.islice(records(), 1))])
    at_once = max(1, min(BATCH_ROWS, MOST_AT_ONCE // width))

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        stream, first = records(), 0
        while batch := list(itertools.islice(stream, at_once)):
            # A name that a record lacks is missing there.
            yield Part(path, first, {name: [one.get(name) for one in batch] for name in wanted})
            first += len(batch)

    return Table(path, path, "a file of JSON lines", columns, read, (path,))


_NULL: Final = Kind("number", "null")


def _kind(value: Any) -> Kind:
    if value is None:
        return _NULL
    if isinstance(value, bool | int | float):
        return Kind("number", type(value).__name__)
    if isinstance(value, list):
        inner = _kind(value[0]) if value else _NULL
        return Kind("list" if inner.what in ("number", "list") else "other", f"list of {inner.type}")
    return Kind("text" if isinstance(value, str) else "other", type(value).__name__)


def _size(value: Any) -> int:
    """How many numbers a value holds."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return (
        sum(map(_size, value))
        if isinstance(value, list) and value and isinstance(value[0], list)
        else (len(value) if isinstance(value, list) else 1)
    )
