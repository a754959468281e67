"""The data set and the models of a piece of work, opened and checked alike for all that computes losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streameval.defaults import NUMBER_LOSSES
from streameval.errors import DataError, UsageError
from streameval.losses import choose_loss
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs import is_saved
from streameval.predictors import is_predictor
from streameval.scoring import check_model
from streameval.storage.opening import open
from streameval.storage.source import Source, with_any_targets

if TYPE_CHECKING:
    from streameval.outputs.source import Outputs
    from streameval.predictors.predictor import Predictor


def subject(model: Any, data: Any, loss: Loss | None, eps: float | None) -> tuple[Model, Source, Loss]:
    """What losses are computed of, and which: a model on a data set, or saved outputs (`open_outputs`) alone.

    Raises:
        UsageError: saved outputs with data, or a model without; a loss that saved outputs do not have; no loss.
        DataError: as `open_rows`.
    """
    if not is_saved(model):
        if data is None:
            check_model(model)
            raise UsageError(
                "data: None, expected what streameval.open takes. Only saved outputs (streameval.open_outputs) are "
                "given alone."
            )
        chosen = choose_loss(loss, eps)
        source, (made,) = open_rows(data, model, loss=chosen)
        return made, source, chosen
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
    runs = models if is_saved(models) else _runs(models)
    if runs is None:
        if data is None:
            raise UsageError("data: None, expected what streameval.open takes, for models that are computed.")
        chosen = choose_loss(loss, eps)
        source, made = open_rows(data, *models, loss=chosen)
        return made, source, chosen
    if data is not None:
        raise UsageError(f"{runs.name}: saved outputs were given with data. They need none: leave it out.")
    return runs.models, runs, runs.choose_loss(loss, eps)


def _runs(models: Any) -> Outputs | None:
    """Runs of saved outputs as one, None where there are none among the models."""
    if not any(is_saved(model) for model in models):
        return None
    from streameval.outputs.joining import join_outputs

    return join_outputs(models)


def groups_of(source: Source, groups: Any) -> Any:
    """The groups of rows that were given; of saved outputs, where none were, those that were opened with them.

    Raises UsageError for the name of another column of saved outputs.
    """
    if not is_saved(source):
        return groups
    known = source.groups
    if isinstance(groups, str) and (known is None or known.column != groups):
        raise UsageError(
            f"groups: {groups!r}, but {source.name} was opened "
            f"{'without groups' if known is None else f'with those of {known.column!r}'}. Open it with that column: "
            f"open_outputs(..., group={groups!r})."
        )
    return known.codes if known is not None and (groups is None or isinstance(groups, str)) else groups


def open_rows(data: Any, *models: Any, loss: Loss) -> tuple[Source, tuple[Model, ...]]:
    """Open a data set that losses are computed of, and make models of what was given as such.

    What a predictor leaves open is decided on the first rows that are looked at: see `predictors.probing`.

    Raises:
        UsageError: one of the models is none.
        DataError: a data set without rows; and the errors of `streameval.open`.
        DataError: targets that the loss does not take.
        ModelError: a predictor that does not take rows like these.
    """
    checked = tuple(check_model(model) for model in models)
    source = open(data)
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is no loss. Expected at least one.")
    source = _with_targets_of(source, loss)
    return source, tuple(_settled(model, source, loss) if is_predictor(model) else model for model in checked)


def _with_targets_of(source: Source, loss: Loss) -> Source:
    """The rows with targets as the loss takes them. Raises DataError for numbers in place of classes."""
    if not loss.classifies:
        return with_any_targets(source)
    if source.soft and source.classes == 1:
        raise DataError(
            f"{source.name}: the targets are one number a row, and loss {loss.name} takes integer classes (n,), or "
            "weights of classes (n, classes). Give t.ravel().astype(np.int64); for regression, loss "
            f"{' or '.join(NUMBER_LOSSES)} (--loss; loss=streameval.Squared())."
        )
    return source


def _settled(model: Predictor, source: Source, loss: Loss) -> Model:
    from streameval.predictors.probing import settled

    made: Model = settled(
        model, source, "classes" if loss.classifies else getattr(loss, "outputs", "numbers")
    )
    return made
