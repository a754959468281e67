"""A fitted scikit-learn estimator as a predictor: `predict_proba` of a classifier, `predict` of a regressor."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any

import numpy as np

from streameval.errors import ModelError
from streameval.predictors.predictor import Predictor


def adapt(estimator: Any) -> Predictor:
    """A classifier whose classes are 0, 1, 2, ..., or a regressor; a pipeline ends in one.

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
    if hasattr(estimator, "predict") and hasattr(estimator, "n_features_in_"):
        return Predictor(
            predict=estimator.predict,
            returns="values",
            kind="sklearn",
            name=name,
            identity=_content(estimator),
        )
    raise ModelError(f"{name} is not fitted, or neither classifier nor regressor. Call its fit first.")


def _content(estimator: Any) -> str | None:
    """SHA-256 of its pickle, None where it has none."""
    try:
        return hashlib.sha256(pickle.dumps(estimator)).hexdigest()
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
