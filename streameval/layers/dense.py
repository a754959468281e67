"""A dense layer: activation(x @ weight + bias)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.elementary import matmul
from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import activate, check_activation
from streameval.layers.layer import Shape
from streameval.layers.numbers import float32

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


@frozen(eq=False)
class Dense:
    """One dense layer: activation(x @ weight + bias).

    weight      (inputs, outputs), kept as a read-only C-contiguous float32 copy
    bias        (outputs,), kept as a read-only float32 copy
    activation  one of `streameval.kernels.names.ACTIVATIONS`, "leaky_relu(0.2)" for another slope

    float16 and float64 arrays are converted to float32: that is the precision in which networks are
    evaluated, and a float64 number beyond its range becomes infinite.

    Raises:
        ModelError: an unknown activation, an array that is not floating point, empty, or of the wrong shape.
    """

    kind: ClassVar[str] = "dense"

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str

    def __init__(self, weight: ArrayLike, bias: ArrayLike, activation: str) -> None:
        w, b = float32(weight, "weight"), float32(bias, "bias")
        if w.ndim != 2 or w.size == 0:
            raise ModelError(f"weight: shape {w.shape}, expected (inputs, outputs), both at least 1.")
        if b.shape != (w.shape[1],):
            turned = b.shape == w.shape[:1]
            cure = " Of weights (outputs, inputs), as PyTorch has them, give weight.T." if turned else ""
            raise ModelError(
                f"bias: shape {b.shape}, but the weight of shape {w.shape} has {w.shape[1]} outputs: "
                f"expected ({w.shape[1]},).{cure}"
            )
        object.__setattr__(self, "weight", w)
        object.__setattr__(self, "bias", b)
        object.__setattr__(self, "activation", check_activation(activation))

    @property
    def inputs(self) -> int:
        """Number of values that come in."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Number of values that go out."""
        return int(self.weight.shape[1])

    @property
    def signature(self) -> str:
        """Activation and shape."""
        return f"{self.activation} {self.inputs} {self.outputs}"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`."""
        return {"weight": self.weight, "bias": self.bias}

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`: any shape of as many values as the weight has rows."""
        if math.prod(inputs) != self.inputs:
            raise ModelError(
                f"a dense layer of weight {self.weight.shape} takes {self.inputs} inputs, not {inputs}."
            )
        return (self.outputs,)

    def multiply_adds(self, inputs: Shape) -> int:
        """One for each weight."""
        return self.weight.size

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        flat = values.reshape(len(values), -1)
        return activate(self.activation, matmul(flat, self.weight.astype(np.float64)) + self.bias)

    def rounding(
        self, values: NDArray[np.float64], errors: NDArray[np.float64] | None, *, from_bytes: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """How far the kernels' outputs can be off, and the outputs: see `layers.rounding.dense_errors`."""
        from streameval.layers.rounding import dense_errors

        return dense_errors(self, values, errors, from_bytes=from_bytes)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.dense_packing import add_dense

        return add_dense(builder, source, self.weight, self.bias, self.activation)
