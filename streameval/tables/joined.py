"""Several tables of the same columns as one, row after row. Knows nothing of formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streameval.errors import DataError
from streameval.tables.table import Part, Table, listed


def joined(name: str, tables: Sequence[Table]) -> Table:
    """All rows of the tables, in their order. Raises DataError unless they have the same columns."""
    first = tables[0]
    for table in tables[1:]:
        if {column: kind.what for column, kind in table.columns.items()} != {
            column: kind.what for column, kind in first.columns.items()
        }:
            raise DataError(
                f"{table.name}: columns {listed(table.columns)}, expected {listed(first.columns)} as in {first.name}. "
                "Files that are read as one data set must be alike."
            )
    rows = [table.rows for table in tables]

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        for table in tables:
            yield from table.read(wanted)

    return Table(
        name,
        name,
        f"{len(tables)} files, the first {first.format}",
        first.columns,
        read,
        tuple(file for table in tables for file in table.files),
        sum(one or 0 for one in rows) if None not in rows else None,
    )
