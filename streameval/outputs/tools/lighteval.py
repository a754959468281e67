"""lighteval's details, a Parquet file: `doc` and `metric` (earlier `__doc__`, `__metric__`), each a struct."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.outputs.arrow_tables import parquet
from streameval.outputs.table import Metric, Table, listed
from streameval.outputs.tools.directions import less_is_better

METRICS: Final = ("metric", "__metric__", "metrics", "__metrics__")
DOCS: Final = ("doc", "__doc__")
# Of versions before 0.10, which had no `doc`, and no ids.
EARLIER: Final = "full_prompt"


def is_lighteval(path: str) -> bool:
    """Whether the columns of a Parquet file are those of lighteval's details."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with storage_errors(path):
            schema = pq.read_schema(path)
        names = {*schema.names}
        structs = {field.name for field in schema if pa.types.is_struct(field.type)}
    # Names that are no text: who reads the file refuses it.
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return False
    return bool(structs & {*METRICS}) and bool(names & {*DOCS, EARLIER})


def lighteval(path: str) -> Table:
    """A file of details; the id is the document's, which earlier versions did not write."""
    table = parquet(path)
    metrics = {}
    for column in table.columns:
        outer, _, name = column.partition(".")
        if outer in METRICS and name:
            metrics[name] = Metric(column, not less_is_better(name))
    if not metrics:
        raise DataError(
            f"{path}: no metrics, expected lighteval's columns doc and metric. Its columns: {listed(table.columns)}."
        )
    row_id = next((f"{outer}.id" for outer in DOCS if f"{outer}.id" in table.columns), None)
    return replace(table, format="lighteval", metrics=metrics, row_id=row_id)
