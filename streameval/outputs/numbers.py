"""Several columns of numbers of saved outputs side by side, for what is no mean of one of them.

Knows columns. Does not know what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.outputs.formats import open_table
from streameval.outputs.source import Groups
from streameval.outputs.table import Table, listed
from streameval.outputs.unchanged import unchanged
from streameval.outputs.values import codes, floats
from streameval.storage.spool import column


def open_numbers(
    data: Any, columns: Sequence[str], *, group: str | None = None, format: str | None = None
) -> tuple[NDArray[np.float64], Groups | None]:
    """Return columns, or metrics of a tool's file, as mapped (rows, len(columns)) float64, and the groups of the rows.

    NaN is a number that is missing. Where no group is named and rows are repetitions of samples (epochs, trials), the
    sample is the group. Raises as `open_outputs`.
    """
    with unchanged(data):
        table = open_table(data, format)
        if group is None and table.repeats:
            group = table.row_id
        names = [_column(table, name) for name in (*columns, *([] if group is None else [group]))]
        return _read(table, columns, names, group)


def _read(
    table: Table, columns: Sequence[str], names: Sequence[str], group: str | None
) -> tuple[NDArray[np.float64], Groups | None]:
    """`names` are where the columns stand, and the group behind them."""
    known: dict[str, int] = {}
    first = 0
    with column(np.float64) as numbers, column(np.int64) as groups:
        for batch in table.batches(tuple(dict.fromkeys(names))):
            parts = [
                floats(f"{table.name}, column {name}", batch[one], first)
                for name, one in zip(columns, names, strict=False)
            ]
            numbers.write(np.stack(parts, axis=1))
            everything = np.ones(len(parts[0]), bool)
            if group is not None:
                where = f"{table.name}, column {group}"
                groups.write(codes(where, batch[names[-1]], everything, first, known))
            first += len(everything)
        values = numbers.mapped().reshape(-1, len(columns))
        return values, None if group is None else Groups(group, groups.mapped(), tuple(known))


def _column(table: Table, name: str) -> str:
    """Where a column, or a metric, stands. Raises UsageError, listing what there is."""
    if name in table.columns:
        return name
    if name in table.metrics:
        return table.metrics[name].column
    metrics = f" Its metrics: {listed([*table.metrics])}." if table.metrics else ""
    raise UsageError(f"{table.name}: no column {name!r}. Its columns: {listed(table.columns)}.{metrics}")
