"""MLflow's eval_results_table.json: {"columns": [...], "data": [[...], ...]}, as pandas writes it split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from streameval.errors import DataError
from streameval.outputs.records import Record, table
from streameval.outputs.table import Metric, Table
from streameval.outputs.tools.directions import less_is_better
from streameval.tables import json_stream

SCORE = "/score"


def mlflow(path: str) -> Table:
    """A table of results; its metrics are the columns "NAME/score" (and "NAME/v1/score"), by these names. What tells
    rows apart has to be named."""
    with Path(path).open("rb") as file:
        columns = [str(name) for name in json_stream.items(path, file, "columns")]

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            for number, row in enumerate(json_stream.items(path, file, "data")):
                if not isinstance(row, list) or len(row) != len(columns):
                    raise DataError(
                        f"{path}, row {number}: expected a list of {len(columns)} values, one a column."
                    )
                yield dict(zip(columns, row, strict=True))

    found = table(path, "mlflow", records)
    scored = [name for name in columns if name.endswith(SCORE)]
    metrics = {name.removesuffix(SCORE): Metric(name, not less_is_better(name)) for name in scored}
    return replace(found, columns=tuple(columns), metrics=metrics)
