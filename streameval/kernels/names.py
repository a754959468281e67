"""The names of what the kernels can compute, for rooms that must know them without compiling anything.

Knows names and formulas only; imports nothing.
"""

from __future__ import annotations

ACTIVATIONS = (
    "identity",  # x
    "sigmoid",  # 1 / (1 + exp(-x))
    "relu",  # max(x, 0)
    "tanh",  # tanh(x)
    "leaky_relu",  # x if x > 0 else 0.01 * x
    "gelu",  # x * Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2: the exact form, not the tanh one
    "softplus",  # log(1 + exp(x))
)
