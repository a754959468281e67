"""The formulas of `kernels.names.ACTIVATIONS` in float64, each written so that nothing overflows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import erf, exp, expm1, logaddexp, tanh
from streameval.errors import ModelError
from streameval.kernels.names import PARAMETERS, split_activation


def _silu(x: NDArray[np.float64]) -> Any:
    return x * exp(-logaddexp(0.0, -x))


def _gelu_tanh(x: NDArray[np.float64]) -> Any:
    u = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
    return x * exp(-logaddexp(0.0, -2.0 * u))


# Those of `names.PARAMETERS` take their number as a second argument.
ACTIVATIONS: Final[dict[str, Callable[..., Any]]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: exp(-logaddexp(0.0, -x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": tanh,
    "leaky_relu": lambda x, slope=PARAMETERS["leaky_relu"]: np.where(x > 0.0, x, slope * x),
    "gelu": lambda x: x * 0.5 * (1.0 + erf(x / math.sqrt(2.0))),
    "softplus": lambda x: logaddexp(0.0, x),
    "silu": _silu,
    "elu": lambda x, alpha=PARAMETERS["elu"]: np.where(x > 0.0, x, alpha * expm1(np.minimum(x, 0.0))),
    "hard_swish": lambda x: x * (np.clip(x + 3.0, 0.0, 6.0) / 6.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "gelu_tanh": _gelu_tanh,
}


def check_activation(activation: str) -> str:
    """The activation as networks keep it: "relu", "leaky_relu", "leaky_relu(0.2)", the usual number left out.

    Raises ModelError unless it is one that the kernels know.
    """
    try:
        name, number = split_activation(activation)
        usual = PARAMETERS.get(name)
        if name in ACTIVATIONS and (number is None or (usual is not None and math.isfinite(number))):
            return name if number is None or number == usual else f"{name}({number!r})"
    except (AttributeError, ValueError):
        pass
    if activation == "softmax":
        raise ModelError(
            "activation 'softmax' is no layer's: the loss takes it of the logits. End with 'identity'."
        )
    raise ModelError(
        f"activation {str(activation)[:40]!r} is not known. Known are: {', '.join(ACTIVATIONS)}; "
        f"with a number, as in leaky_relu(0.2): {', '.join(PARAMETERS)}."
    )


def activate(activation: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The formula of a checked activation."""
    name, number = split_activation(activation)
    formula = ACTIVATIONS[name]
    return np.asarray(formula(x) if number is None else formula(x, number))
