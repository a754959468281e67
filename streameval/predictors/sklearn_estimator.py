"""A fitted scikit-learn classifier as a predictor, by its `predict_proba`; a regressor, by its `predict`."""

from __future__ import annotations

import hashlib
import pickle
from importlib import import_module
from typing import Any

import numpy as np

from streameval.errors import ModelError
from streameval.predictors.predictor import Predictor


def adapt(estimator: Any) -> Predictor:
    """A classifier whose classes are 0, 1, 2, ..., or a regressor; a pipeline that ends in one is another.

    Raises ModelError: no probabilities, other classes, not fitted.
    """
    name = type(estimator).__name__
    if hasattr(estimator, "classes_"):
        classes = np.asarray(estimator.classes_)
        if (
            classes.ndim != 1
            or classes.dtype.kind not in "iu"
            or not np.array_equal(classes, np.arange(len(classes)))
        ):
            raise ModelError(
                f"{name}: its classes are {classes.tolist()!r:.60}, expected 0, 1, 2, ... as the data's labels. Fit it "
                "on such labels, or wrap it: streameval.Predictor(predict=..., returns='probabilities')."
            )
        if not hasattr(estimator, "predict_proba"):
            raise ModelError(
                f"{name} has no predict_proba, and its decision function is no logit. Calibrate it: "
                "sklearn.calibration.CalibratedClassifierCV."
            )
        return Predictor(
            predict=estimator.predict_proba, returns="probabilities", outputs=len(classes), kind="sklearn", name=name,
            identity=_content(estimator),
        )  # fmt: skip
    if _is_regressor(estimator):
        return Predictor(
            predict=estimator.predict,
            returns="numbers",
            kind="sklearn",
            name=name,
            identity=_content(estimator),
        )
    raise ModelError(f"{name} is no classifier that was fitted: it has no classes_. Fit it first.")


def _is_regressor(estimator: Any) -> bool:
    base = import_module("sklearn.base")
    return bool(base.is_regressor(estimator))


def _content(estimator: Any) -> str | None:
    """SHA-256 of its pickle, None where that is another one when it is loaded and written again."""
    try:
        once = pickle.loads(pickle.dumps(estimator))
        stored = pickle.dumps(once)
        settled = stored == pickle.dumps(pickle.loads(stored))
    # What pickling someone else's object may raise has no common ancestor.
    except Exception:
        return None
    return hashlib.sha256(stored).hexdigest() if settled else None
