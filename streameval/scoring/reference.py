"""The float64 reference of the kernels: the same logits by NumPy, for measuring what float32 does to losses.

Knows a network's formulas. Does not know kernels, tiles or speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.models.mlp import Mlp

Floats = NDArray[np.float64]

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


def reference_logits(model: Mlp, x: Floats) -> Floats:
    """The logits (n, outputs) of features x (n, features), with every step in float64; weights are the float32 ones
    that the kernels use. About 40 times slower than the kernels."""
    values = x
    for layer in model.layers:
        values = ACTIVATIONS[layer.activation](values @ layer.weight.astype(np.float64) + layer.bias)
    return values
