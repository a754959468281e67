"""The plain float64 twin of the kernels: the same losses by NumPy, for measuring what float32 does to them.

Knows a network's formulas. Does not know kernels, tiles or speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.evaluation.evaluate import EPS
from streameval.evaluation.scoring import check_eps, check_fit
from streameval.models.mlp import Mlp
from streameval.storage.source import Chunk, Source

Floats = NDArray[np.float64]

TWIN_CHUNK = 4096  # rows computed at once: 26 MB of float64 features for rows of 784

_erf = np.vectorize(math.erf, otypes=[np.float64])

# The formulas of `kernels.names.ACTIVATIONS`, each written so that nothing overflows.
ACTIVATIONS: dict[str, Callable[[Floats], Any]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0.0, -x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "leaky_relu": lambda x: np.where(x > 0.0, x, 0.01 * x),
    "gelu": lambda x: x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0))),
    "softplus": lambda x: np.logaddexp(0.0, x),
}


def twin_losses(model: Mlp, source: Source, rows: NDArray[np.int64], *, eps: float = EPS) -> Floats:
    """Return the losses of these rows, (n,) float64 in nats, in their order, with every step in float64.

        E = -sum_k t_k log(y_k + eps); eps = 0: exact log-softmax, from the logits

    Weights are the float32 ones that the kernels use, features are stored value * scale, unrounded. About
    40 times slower than the kernels, 4,096 rows in memory at a time. Raises the errors of `Source.take`,
    ModelError for a network that does not fit.
    """
    check_fit(model, source)
    checked = check_eps(eps)
    out = np.empty(len(rows))
    for start in range(0, len(rows), TWIN_CHUNK):
        chunk = source.take(rows[start : start + TWIN_CHUNK])
        out[start : start + len(chunk)] = _losses(_logits(model, chunk, source.scale), chunk.t, checked)
    return out


def _logits(model: Mlp, chunk: Chunk, scale: float) -> Floats:
    values: Floats = chunk.x.astype(np.float64) * scale
    for layer in model.layers:
        values = ACTIVATIONS[layer.activation](values @ layer.weight.astype(np.float64) + layer.bias)
    return values


def _losses(logits: Floats, targets: NDArray[Any], eps: float) -> Floats:
    below = logits - logits.max(axis=1, keepdims=True)
    logs = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
    if eps > 0.0:
        logs = np.logaddexp(logs, math.log(eps))  # log(y + eps) without ever forming a y of 0
    if targets.ndim == 1:
        return np.asarray(-logs[np.arange(len(logs)), targets])
    # 0 * log(0) is 0 here: a class without weight costs nothing.
    return np.asarray(-np.sum(np.where(targets == 0.0, 0.0, targets * logs), axis=1))
