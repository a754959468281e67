"""Who can score what: one row for each type of model in the table `SCORERS`. Nothing is imported until it is used."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from streameval.losses.loss import Loss
    from streameval.models.model import Model
    from streameval.scoring.scorer import Budget, Scorer
    from streameval.storage.source import Source

# Type of a model, by its full name so that nobody has to be imported -> (module of this package, class there). A
# model is scored by the row of the first of its type's ancestors that is here.
SCORERS: Final = {
    "streameval.models.network.Network": ("network", "NetworkScorer"),
    "streameval.outputs.model.SavedModel": ("outputs", "OutputsScorer"),
    "streameval.predictors.predictor.Predictor": ("predictor", "PredictorScorer"),
}


def make_scorer(model: Model, source: Source, loss: Loss, budget: Budget | None = None) -> Scorer:
    """What scores rows of `source` with `model`.

    Raises:
        UsageError: nobody can score such a model; threads that cannot mean anything.
        ModelError: the model does not take rows like these.
        StorageError: the budget's memory is too little for preparing the model.
    """
    from streameval.scoring.scorer import Budget

    row = _row(model)
    if row is None:
        from streameval.predictors.adapting import not_a_model

        raise not_a_model(model)
    scorer: Scorer = _home(*row)(model, source, loss, Budget() if budget is None else budget)
    return scorer


def check_model(model: Any) -> Model:
    """The model; of what another library computes, and of anything that can be called, the predictor that it is.

    Raises UsageError, with what to write, for something else: the path of a model, for instance.
    """
    if _row(model) is not None:
        checked: Model = model
        return checked
    from streameval.predictors.adapting import adapt

    return adapt(model)


@functools.cache
def _home(module: str, kind: str) -> Callable[..., Scorer]:
    made: Callable[..., Scorer] = getattr(import_module(f"{__name__}.{module}"), kind)
    return made


def _row(model: object) -> tuple[str, str] | None:
    for kind in type(model).__mro__:
        row = SCORERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if row is not None:
            return row
    return None
