"""The data set and the models of a piece of work, opened and checked alike for all that computes losses."""

from __future__ import annotations

from typing import Any

from streameval.errors import DataError
from streameval.models.model import Model
from streameval.predictors.predictor import Predictor
from streameval.scoring import check_model
from streameval.storage.opening import open
from streameval.storage.source import Source


def open_rows(data: Any, *models: Any) -> tuple[Source, tuple[Model, ...]]:
    """Open a data set that losses are computed of, and make models of what was given as such.

    What a predictor leaves open is decided on the first rows that are looked at: see `predictors.probing`.

    Raises:
        UsageError: one of the models is none.
        DataError: a data set without rows; and the errors of `streameval.open`.
        ModelError: a predictor that does not take rows like these.
    """
    checked = tuple(check_model(model) for model in models)
    source = open(data)
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is no loss. Expected at least one.")
    return source, tuple(
        _settled(model, source) if isinstance(model, Predictor) else model for model in checked
    )


def _settled(model: Predictor, source: Source) -> Model:
    from streameval.predictors.probing import settled

    made: Model = settled(model, source)
    return made
