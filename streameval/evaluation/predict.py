"""The article's two functions: probabilities of rows in memory, and the cross-entropy of given probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.errors import LabelError, UsageError
from streameval.evaluation.evaluate import EPS
from streameval.evaluation.rows import CHUNK_ROWS
from streameval.evaluation.scoring import NetworkScorer
from streameval.models.mlp import Mlp
from streameval.storage.opening import open
from streameval.storage.source import Span


def predict(model: Mlp, x: ArrayLike) -> NDArray[np.float32]:
    """Return the probabilities y = softmax(network(x)): float32 (n, classes), or (classes,) for one row.

    x  uint8 (scaled by 1/255) or float32 or float64 (converted to float32, taken as it is): (n, features),
       (n, ...) whose rows have `features` values, or one row (features,)

    Raises:
        ModelError: rows of another number of features.
        DataError: another dtype.
    """
    given = np.asarray(x)
    rows = given.astype(np.float32) if given.dtype == np.float64 else given
    single = rows.ndim == 1
    rows = rows.reshape(1, -1) if single else rows.reshape(len(rows), math.prod(rows.shape[1:]))
    source = open((np.ascontiguousarray(rows), np.zeros(len(rows), np.int64)))
    scorer = NetworkScorer(model, source, eps=EPS)
    out = np.empty((len(rows), model.classes), np.float32)
    for chunk in source.chunks(Span(0, len(rows)), CHUNK_ROWS):
        out[chunk.rows[0] : chunk.rows[-1] + 1] = scorer.probabilities(chunk)
    return out[0] if single else out


def cross_entropy_error(y: ArrayLike, t: ArrayLike, *, eps: float = EPS) -> float:
    """Return the mean cross-entropy error of probabilities y against targets t, in nats, as the article does.

        E = -(1/N) sum_n sum_k t_nk log(y_nk + eps)        t one-hot or soft, the shape of y
        E = -(1/N) sum_n log(y_n,t_n + eps)                t integer labels

    y  (n, classes) or (classes,) for one row · t  the same shape, or integers (n,) or () for one row

    Computed in float64. Raises UsageError for shapes that do not fit, LabelError for a label outside the classes.
    Source: K. Saitoh, Deep Learning from Scratch (O'Reilly Japan, 2016), section 4.2.
    """
    probabilities = np.atleast_2d(np.asarray(y, np.float64))
    targets: NDArray[Any] = np.asarray(t)
    n, classes = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    if n == 0 or classes == 0:
        raise UsageError(f"y: shape {np.shape(y)}, expected (n, classes) or (classes,), n at least 1.")
    if targets.size == probabilities.size and (targets.ndim == 2 or np.ndim(y) == 1):
        return float(-np.sum(targets.reshape(n, classes) * np.log(probabilities + eps)) / n)
    labels = targets.reshape(-1)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            f"t: {targets.dtype} of shape {targets.shape}, expected integer labels ({n},) or rows ({n}, {classes})."
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise LabelError(
            f"t, row {first}: label {int(labels[first])}, but y has {classes} classes (0..{classes - 1})."
        )
    return float(-np.mean(np.log(probabilities[np.arange(n), labels] + eps)))
