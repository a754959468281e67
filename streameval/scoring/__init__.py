"""Who can score what: one row for each type of model in the table `SCORERS`. Nothing is imported until it is used."""

from __future__ import annotations

import functools
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from streameval.arguments import describe_value
from streameval.errors import UsageError

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
}


def make_scorer(model: Model, source: Source, loss: Loss, budget: Budget | None = None) -> Scorer:
    """What scores rows of `source` with `model`.

    Raises:
        UsageError: nobody can score such a model; threads that cannot mean anything.
        ModelError: the model does not take rows like these.
        StorageError: the budget's memory is too little for preparing the model.
    """
    from streameval.scoring.scorer import Budget

    scorer: Scorer = _home(*_row(model))(model, source, loss, Budget() if budget is None else budget)
    return scorer


def check_model(model: Any) -> Model:
    """The model; raise UsageError, with what to write, if it is something else: the path of one, for instance."""
    _row(model)
    checked: Model = model
    return checked


@functools.cache
def _home(module: str, kind: str) -> Callable[..., Scorer]:
    made: Callable[..., Scorer] = getattr(import_module(f"{__name__}.{module}"), kind)
    return made


def _row(model: object) -> tuple[str, str]:
    for kind in type(model).__mro__:
        row = SCORERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if row is not None:
            return row
    cure = "Give what streameval.load_model returns."
    if isinstance(model, str | os.PathLike):
        cure = f"Load it: streameval.load_model({os.fspath(model)!r})."
    raise UsageError(f"model: {describe_value(model)}, expected a network. {cure}")
