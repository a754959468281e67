"""Who can be a model: one row for each kind of object in the table `ADAPTERS`, found by the name of its type."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

from streameval.arguments import describe_value
from streameval.errors import UsageError
from streameval.predictors.predictor import Predictor

# Type, by its full name so that nobody has to be imported -> (module of this package, function there: object ->
# Predictor). An object is taken by the row of the first of its type's ancestors that is here.
ADAPTERS: Final = {
    "streameval.predictors.predictor.Predictor": ("adapting", "itself"),
    "torch.nn.modules.module.Module": ("torch_module", "adapt"),
    "onnxruntime.capi.onnxruntime_inference_collection.InferenceSession": ("onnxruntime_session", "adapt"),
    "openvino._ov_api.CompiledModel": ("openvino_model", "adapt"),
    "sklearn.base.BaseEstimator": ("sklearn_estimator", "adapt"),
    "keras.src.models.model.Model": ("keras_model", "adapt"),
}


def adapt(model: object) -> Predictor:
    """The model as a `Predictor`; any callable is one, from x (n, features) float32 to (n, outputs).

    Raises UsageError for what is none, ModelError where it cannot be used as it is.
    """
    for kind in type(model).__mro__:
        row = ADAPTERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if row is not None:
            made: Predictor = getattr(import_module(f"streameval.predictors.{row[0]}"), row[1])(model)
            return made
    if callable(model) and not isinstance(model, type):
        return Predictor(predict=model, name=_name(model))
    raise not_a_model(model)


def not_a_model(model: object) -> UsageError:
    """The error about something that is no model, with what to write."""
    cure = "Give what streameval.load_model returns, or a function from rows (n, features) to logits or probabilities."
    if isinstance(model, str | os.PathLike):
        cure = f"Load it: streameval.load_model({os.fspath(model)!r}), of saved outputs streameval.open_outputs(...)."
    elif isinstance(model, dict):
        cure = "Of saved outputs: streameval.open_outputs(...)."
    elif isinstance(model, tuple) or hasattr(model, "__array__"):
        cure += " The model comes first, then the data."
    return UsageError(f"model: {describe_value(model)}, expected a network or something to call. {cure}")


def itself(model: Predictor) -> Predictor:
    """A predictor as it is."""
    return model


def _name(model: Any) -> str:
    return str(getattr(model, "__qualname__", None) or type(model).__qualname__)
