"""The formulas of `kernels.names.ACTIVATIONS` in float64, each written so that nothing overflows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError

_erf = np.vectorize(math.erf, otypes=[np.float64])

ACTIVATIONS: Final[dict[str, Callable[[NDArray[np.float64]], Any]]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0.0, -x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "leaky_relu": lambda x: np.where(x > 0.0, x, 0.01 * x),
    "gelu": lambda x: x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0))),
    "softplus": lambda x: np.logaddexp(0.0, x),
}


def check_activation(name: str) -> None:
    """Raise ModelError unless `name` is an activation that the kernels know."""
    if name not in ACTIVATIONS:
        raise ModelError(f"activation {str(name)[:40]!r} is not known. Known are: {', '.join(ACTIVATIONS)}.")
