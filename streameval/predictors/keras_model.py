"""A Keras model as a predictor."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.predictors.predictor import Predictor, RowShape


def adapt(model: Any) -> Predictor:
    """A `keras.Model` of one input and one output, called with training=False."""
    row = tuple(getattr(model, "input_shape", None) or ())[1:]
    shapes: tuple[RowShape, ...] = ((), "image")
    if row and all(isinstance(one, int) for one in row):
        shapes = (row if len(row) > 1 else (),)
    digest = hashlib.sha256(str(model.to_json()).encode())
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return Predictor(
        predict=_Call(model), shapes=shapes, kind="keras", name=str(model.name), identity=digest.hexdigest()
    )


class _Call:
    """Calls the model on NumPy's rows."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, x: NDArray[Any]) -> Any:
        return self._model(x, training=False)
