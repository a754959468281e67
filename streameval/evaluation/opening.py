"""The data set and the models of a piece of work, opened and checked alike for all that computes losses."""

from __future__ import annotations

from typing import Any

from streameval.errors import DataError
from streameval.models.model import Model
from streameval.scoring import check_model
from streameval.storage.opening import open
from streameval.storage.source import Source


def open_rows(data: Any, *models: Model) -> Source:
    """Open a data set that losses are computed of.

    Raises:
        UsageError: one of the models is none.
        DataError: a data set without rows; and the errors of `streameval.open`.
    """
    for model in models:
        check_model(model)
    source = open(data)
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is no loss. Expected at least one.")
    return source
