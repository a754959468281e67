"""How far the kernels' float32 can be from float64: a bound that follows from the sizes of what is added up.

Knows the order of the kernels' operations, not their code. Source: N. J. Higham, Accuracy and Stability of Numerical
Algorithms (2nd ed., SIAM 2002), section 3.1: n operations in a row lose at most n u / (1 - n u) of the sum of sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import matmul, products_at_most
from streameval.layers.activations import ACTIVATIONS

if TYPE_CHECKING:
    from streameval.layers.dense import Dense

U = 2.0**-24
# Byte rows meet weights of 24 bits: each is off by at most this share of the largest of its column.
QUANTUM = 0.5 / (127 * 65536)
# Activation -> (the steepest it gets, error of its value, error that grows with its argument), both in shares.
STEEP: Final = {
    "identity": (1.0, 0.0, 0.0),
    "sigmoid": (0.25, 8 * U, 0.0),
    "relu": (1.0, 0.0, 0.0),
    "tanh": (1.0, 16 * U, 0.0),
    "leaky_relu": (1.0, 2 * U, 0.0),
    "gelu": (1.13, 4 * U, 4e-9),
    "softplus": (1.0, 4 * U, 0.0),
    "silu": (1.1, 4 * U, 1e-30),
    "elu": (1.0, 4 * U, 0.0),
    "hard_swish": (1.5, 4 * U, 0.0),
    "relu6": (1.0, 0.0, 0.0),
    "gelu_tanh": (1.13, 4 * U, 1e-30),
}
Floats = NDArray[np.float64]


def dense_errors(
    layer: Dense, values: Floats, errors: Floats | None, *, from_bytes: bool
) -> tuple[Floats, Floats] | None:
    """A bound of what the kernels' outputs (n, outputs) are off by, given inputs (n, inputs) in float64 and a bound of
    what theirs are off by, and the outputs in float64; None for an activation whose slope is not known here.

        sums      E = sum_k e_k |w_k| + g (|b| + sum_k (|x_k| + e_k) |w_k|),   g = m u / (1 - m u), m = inputs + 2
        outputs   E' = steepest E + error of the function

    errors  None for the rows themselves, which are exact; from bytes their sums are integers, and E = sum_k |x_k| q
            max |w| + u |sum|, q being what the 24 bits of a weight leave
    """
    if layer.activation not in STEEP:
        return None
    steepest, of_value, of_argument = STEEP[layer.activation]
    weight = layer.weight.astype(np.float64)
    size = np.abs(weight)
    sums = matmul(values, weight) + layer.bias
    if from_bytes:
        found = np.abs(values).sum(axis=1, keepdims=True) * (QUANTUM * size.max(axis=0)) + 2 * U * np.abs(
            sums
        )
    else:
        inherited = 0.0 if errors is None else products_at_most(errors, size)
        steps = (len(weight) + 2) * U
        found = inherited + steps / (1.0 - steps) * (
            np.abs(layer.bias) + products_at_most(np.abs(values), size) + inherited
        )
    value = ACTIVATIONS[layer.activation](sums)
    reach = of_value * (np.abs(value) + steepest * found) + of_argument * np.abs(sums)
    return steepest * found + reach, value
