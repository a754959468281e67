"""The data set and the models of a piece of work, opened and checked alike for all that computes losses."""

from __future__ import annotations

from typing import Any

from streameval.errors import DataError, UsageError
from streameval.losses import choose_loss
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.predictors.predictor import Predictor
from streameval.scoring import check_model
from streameval.storage.opening import open
from streameval.storage.source import Source


def subject(model: Any, data: Any, loss: Loss | None, eps: float | None) -> tuple[Model, Source, Loss]:
    """What losses are computed of, and which: a model on a data set, or saved outputs (`open_outputs`) alone.

    Raises:
        UsageError: saved outputs with data, or a model without; a loss that saved outputs do not have; no loss.
        DataError: as `open_rows`.
    """
    if not isinstance(model, Outputs):
        if data is None:
            check_model(model)
            raise UsageError(
                "data: None, expected what streameval.open takes. Only saved outputs (streameval.open_outputs) are "
                "given alone."
            )
        source, (made,) = open_rows(data, model)
        return made, source, choose_loss(loss, eps)
    if data is not None:
        raise UsageError(f"{model.name}: saved outputs were given with data. They need none: leave it out.")
    if model.joined is not None:
        raise UsageError(
            f"{model.name}: these are joined runs. Give them to streameval.paired, or one run alone."
        )
    return model.model, model, model.choose_loss(loss, eps)


def subjects(
    models: Any, data: Any, loss: Loss | None, eps: float | None
) -> tuple[tuple[Model, ...], Source, Loss]:
    """The same of several: models on one data set, or runs whose outputs were saved, joined on their row ids.

    Raises as `subject`, and as `join_outputs`; UsageError for models and runs together.
    """
    runs = models if isinstance(models, Outputs) else _runs(models)
    if runs is None:
        if data is None:
            raise UsageError("data: None, expected what streameval.open takes, for models that are computed.")
        source, made = open_rows(data, *models)
        return made, source, choose_loss(loss, eps)
    if data is not None:
        raise UsageError(f"{runs.name}: saved outputs were given with data. They need none: leave it out.")
    return runs.models, runs, runs.choose_loss(loss, eps)


def _runs(models: Any) -> Outputs | None:
    """Runs of saved outputs as one, None where there are none among the models."""
    if not any(isinstance(model, Outputs) for model in models):
        return None
    from streameval.outputs.joining import join_outputs

    return join_outputs(models)


def groups_of(source: Source, groups: Any) -> Any:
    """The groups of rows that were given; of saved outputs, where none were, those that were opened with them.

    Raises UsageError for the name of another column of saved outputs.
    """
    if not isinstance(source, Outputs):
        return groups
    known = source.groups
    if isinstance(groups, str) and (known is None or known.column != groups):
        raise UsageError(
            f"groups: {groups!r}, but {source.name} was opened "
            f"{'without groups' if known is None else f'with those of {known.column!r}'}. Open it with that column: "
            f"open_outputs(..., group={groups!r})."
        )
    return known.codes if known is not None and (groups is None or isinstance(groups, str)) else groups


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
