"""The article's two functions: probabilities of rows in memory, and the cross-entropy of given probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.arguments import array_or, describe_value, is_masked
from streameval.defaults import CHUNK_ROWS, EPS
from streameval.elementary import log
from streameval.errors import DataError, LabelError, UsageError
from streameval.losses.cross_entropy import CrossEntropy
from streameval.models.network import Network
from streameval.scoring import check_model
from streameval.scoring.network import NetworkScorer
from streameval.scoring.scorer import Budget
from streameval.storage.opening import open
from streameval.storage.source import Span


def predict(model: Network, x: ArrayLike) -> NDArray[np.float32]:
    """Return the probabilities y = softmax(network(x)): float32 (n, classes), or (classes,) for one row.

    x  uint8, or other integers that all lie in 0..255 (scaled by 1/255), or float32 or float64 (converted to
       float32, taken as it is): (n, features),
       (n, ...) whose rows have `features` values, or one row (features,)

    Raises:
        ModelError: rows of another number of features.
        DataError: another dtype, or masked values.
        UsageError: a single number, or no network.
    """
    if not isinstance(check_model(model), Network):
        raise UsageError(
            f"model: {describe_value(model)}, expected a network of layers, whose softmax this returns. Another model "
            "returns its own outputs: call it."
        )
    _check_unmasked("x", x)
    given = _array("x", x)
    if given.ndim == 0:
        raise UsageError(
            f"x: {describe_value(x)}, expected rows (n, {model.features}), or one row ({model.features},)."
        )
    single = given.ndim == 1
    rows = given.reshape(1, -1) if single else given.reshape(len(given), math.prod(given.shape[1:]))
    # Floats are taken as they are, whatever they look like.
    scale = 1.0 if rows.dtype.kind == "f" else None
    source = open((np.ascontiguousarray(rows), np.zeros(len(rows), np.int64)), scale=scale)
    scorer = NetworkScorer(model, source, CrossEntropy(), Budget(), labelled=False)
    out = np.empty((len(rows), model.classes), np.float32)
    for chunk in source.chunks(Span(0, len(rows)), CHUNK_ROWS):
        out[chunk.rows[0] : chunk.rows[-1] + 1] = scorer.probabilities(chunk)
    return out[0] if single else out


def cross_entropy_error(y: ArrayLike, t: ArrayLike, *, eps: float = EPS) -> float:
    """Return the mean cross-entropy error of probabilities y against targets t, in nats, as the article does.

        E = -(1/N) sum_n sum_k t_nk log(y_nk + eps)        t one-hot or soft, the shape of y
        E = -(1/N) sum_n log(y_n,t_n + eps)                t integer labels

    y  (n, classes) or (classes,) for one row · t  the same shape, or integers (n,) or () for one row

    Computed in float64. A class without weight costs nothing, whatever its probability; with eps = 0, a class with
    weight and probability 0 makes the error infinite.

    Raises:
        UsageError: shapes that do not fit, another kind of number, negative probabilities, eps outside 0 <= eps < 1.
        LabelError: a label outside the classes.
        DataError: masked values.

    Source: K. Saitoh, Deep Learning from Scratch (O'Reilly Japan, 2016), section 4.2.
    """
    checked = CrossEntropy(eps).eps
    _check_unmasked("y", y)
    _check_unmasked("t", t)
    given = _numbers("y", y)
    probabilities = np.atleast_2d(given.astype(np.float64))
    targets = _numbers("t", t)
    n, classes = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    if n == 0 or classes == 0:
        raise UsageError(f"y: shape {given.shape}, expected (n, classes) or (classes,), n at least 1.")
    negative = (probabilities < 0).any(axis=1)
    if negative.any():
        raise UsageError(
            f"y, row {int(np.argmax(negative))}: a negative number, expected probabilities. Of logits: "
            "streameval.metrics.CrossEntropy."
        )
    single = given.ndim == 1
    if targets.shape == (n, classes) or (single and targets.shape == (classes,)):
        return _mean(targets.reshape(n, classes), probabilities, checked)
    if targets.shape != (n,) and not (single and targets.ndim == 0):
        raise UsageError(
            f"t: {targets.dtype} of shape {targets.shape}, expected integer labels ({n},) or rows ({n}, {classes}) as "
            "y has. The order is (y, t)."
        )
    labels = _checked_labels(targets.reshape(n), classes)
    return _mean(np.ones(n), probabilities[np.arange(n), labels], checked)


def _check_unmasked(name: str, array: ArrayLike) -> None:
    if is_masked(array):
        raise DataError(f"{name}: some values are masked, expected all of them. Leave such rows out first.")


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    """The values as an array of numbers."""
    array = _array(name, values)
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{name}: {array.dtype} of shape {array.shape}, expected numbers.")
    return array


def _array(name: str, values: ArrayLike) -> NDArray[Any]:
    """What any library calls an array, as NumPy's."""
    cure = f"Give numbers in rows of one length: of a sparse tensor, {name}.to_dense()."
    return array_or(UsageError, f"{name}:", values, cure)


def _checked_labels(labels: NDArray[Any], classes: int) -> NDArray[Any]:
    """The labels (n,), integers in [0, classes)."""
    if labels.dtype.kind not in "iu":
        raise UsageError(
            f"t: {labels.dtype} of shape {labels.shape}, expected integer labels {labels.shape}."
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise LabelError(
            f"t, row {first}: label {int(labels[first])}, but y has {classes} classes (0..{classes - 1})."
        )
    return labels


def _mean(weights: NDArray[Any], probabilities: NDArray[np.float64], eps: float) -> float:
    """-(1/n) sum t log(y + eps) over what has weight, for n rows or numbers: 0 log 0 is 0."""
    with np.errstate(divide="ignore"):
        logs = log(probabilities + eps)
    # Without weight, a log of -inf must not become NaN.
    terms = np.multiply(weights, logs, out=np.zeros_like(logs), where=weights != 0)
    # Not -0.0 where nothing is lost.
    return float(-np.sum(terms) / len(terms)) + 0.0
