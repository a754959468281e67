"""Normalizations: by numbers that training left (`BatchNorm`), or by a row's own mean and variance (`LayerNorm`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import activate, check_activation
from streameval.layers.layer import Shape
from streameval.layers.numbers import as_array, float32, vector

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


@frozen(eq=False)
class BatchNorm:
    """activation(x * scale + shift), one pair of numbers for each channel of an image or each feature.

    scale, shift  (channels,), kept as read-only float32 copies
    activation    one of `streameval.kernels.names.ACTIVATIONS`

    `BatchNorm.trained(gamma, beta, mean, variance)` takes what training leaves.

    Raises ModelError for arrays that are not floating point, empty, or of different lengths.
    """

    kind: ClassVar[str] = "batch_norm"

    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    activation: str

    def __init__(self, scale: ArrayLike, shift: ArrayLike, activation: str = "identity") -> None:
        factor = float32(scale, "scale")
        if factor.ndim != 1 or factor.size == 0:
            raise ModelError(f"scale: shape {factor.shape}, expected (channels,), at least 1.")
        object.__setattr__(self, "scale", factor)
        object.__setattr__(
            self, "shift", vector(shift, factor.size, "shift", f"scale has {factor.size} channels")
        )
        object.__setattr__(self, "activation", check_activation(activation))

    @classmethod
    def trained(
        cls,
        gamma: ArrayLike,
        beta: ArrayLike,
        mean: ArrayLike,
        variance: ArrayLike,
        *,
        eps: float = 1e-5,
        activation: str = "identity",
    ) -> BatchNorm:
        """gamma (x - mean) / sqrt(variance + eps) + beta, as a scale and a shift that are computed in float64.

        Raises ModelError for a variance that is negative, or zero with eps = 0.
        """
        given = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        g, b, m, v = (as_array(values, name).astype(np.float64) for name, values in given.items())
        if not (g.shape == b.shape == m.shape == v.shape):
            raise ModelError(
                f"gamma, beta, mean and variance have the shapes {g.shape}, {b.shape}, {m.shape}, {v.shape}: "
                "expected the same, one number for each channel."
            )
        if (v + eps <= 0.0).any():
            raise ModelError(f"variance: {v.min()} with eps = {eps}, expected more than 0 together.")
        scale = g / np.sqrt(v + eps)
        return cls(scale, b - m * scale, activation)

    @property
    def inputs(self) -> None:
        """Not settled by itself: images of so many channels, or so many features."""

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return f"{self.activation} {self.scale.size}"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`."""
        return {"scale": self.scale, "shift": self.shift}

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`: unchanged."""
        if inputs[0] != self.scale.size:
            raise ModelError(f"a batch normalization of {self.scale.size} channels does not fit {inputs}.")
        return inputs

    def multiply_adds(self, inputs: Shape) -> int:
        """One for each value."""
        return math.prod(inputs)

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        wide = (-1,) + (1,) * (values.ndim - 2)
        scale, shift = (a.astype(np.float64).reshape(wide) for a in (self.scale, self.shift))
        return activate(self.activation, values * scale + shift)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_affine

        return add_affine(builder, source, self.scale, self.shift, self.activation)


@frozen(eq=False)
class LayerNorm:
    """gamma (x - mean) / sqrt(variance + eps) + beta, mean and variance (ddof 0) those of the values themselves.

    gamma, beta  (features,), kept as read-only float32 copies; each `features` values that follow one another are
                 normalized together: a whole row, or the last axes of its shape
    eps          more than 0

    Raises ModelError for arrays that are not floating point, empty, or of different lengths.
    """

    kind: ClassVar[str] = "layer_norm"

    gamma: NDArray[np.float32]
    beta: NDArray[np.float32]
    eps: float

    def __init__(self, gamma: ArrayLike, beta: ArrayLike | None = None, *, eps: float = 1e-5) -> None:
        factor = float32(gamma, "gamma")
        if factor.ndim != 1 or factor.size == 0:
            raise ModelError(f"gamma: shape {factor.shape}, expected (features,), at least 1.")
        given = np.zeros(factor.size, np.float32) if beta is None else beta
        if not (isinstance(eps, float | int) and 0.0 < eps < math.inf):
            raise ModelError(f"eps: {eps!r}, expected a number over 0, for instance 1e-5.")
        object.__setattr__(self, "gamma", factor)
        object.__setattr__(
            self, "beta", vector(given, factor.size, "beta", f"gamma has {factor.size} features")
        )
        object.__setattr__(self, "eps", float(eps))

    @property
    def inputs(self) -> None:
        """Not settled by itself: rows, or images whose last axes have so many features."""

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return f"{self.gamma.size} {self.eps.hex()}"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`."""
        return {"gamma": self.gamma, "beta": self.beta}

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`: unchanged."""
        if self.gamma.size not in (math.prod(inputs[k:]) for k in range(len(inputs))):
            raise ModelError(
                f"a layer normalization of {self.gamma.size} features does not fit the last axes of {inputs}."
            )
        return inputs

    def multiply_adds(self, inputs: Shape) -> int:
        """Two for each value: its square, and its scale."""
        return 2 * math.prod(inputs)

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        x = values.reshape(len(values), -1, self.gamma.size)
        centred = x - x.mean(axis=2, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=2, keepdims=True) + self.eps)
        return np.asarray((centred / deviation * self.gamma + self.beta).reshape(values.shape))

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_layer_norm

        return add_layer_norm(builder, source, self.gamma, self.beta, self.eps)
