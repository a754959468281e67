"""The names of what the kernels can compute, for rooms that must know them without compiling anything.

Knows names and formulas only; imports nothing.
"""

from __future__ import annotations

ACTIVATIONS = (
    "identity",  # x
    "sigmoid",  # 1 / (1 + exp(-x))
    "relu",  # max(x, 0)
    "tanh",  # tanh(x)
    "leaky_relu",  # x if x > 0 else 0.01 * x; leaky_relu(0.2): 0.2 * x
    "gelu",  # x * Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2: the exact form, not the tanh one
    "softplus",  # log(1 + exp(x))
    "silu",  # x / (1 + exp(-x))
    "elu",  # x if x > 0 else exp(x) - 1; elu(0.5): 0.5 * (exp(x) - 1)
    "hard_swish",  # x * min(max(x + 3, 0), 6) / 6
    "relu6",  # min(max(x, 0), 6)
    "gelu_tanh",  # x / (1 + exp(-2 u)), u = sqrt(2 / pi) * (x + 0.044715 * x**3): gelu's tanh form
)

# Those that may be written name(number), and the number when the name stands alone.
PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0}


def split_activation(activation: str) -> tuple[str, float | None]:
    """("leaky_relu", 0.2) from "leaky_relu(0.2)"; None where no number is written. Raises ValueError for no number."""
    name, bracket, rest = activation.partition("(")
    if not bracket:
        return name, None
    if not rest.endswith(")"):
        raise ValueError(activation)
    return name, float(rest[:-1])
