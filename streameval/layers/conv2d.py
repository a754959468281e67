"""A two-dimensional convolution of (channels, height, width), as networks mean it: cross-correlation, dilation 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.elementary import matmul
from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import activate, check_activation
from streameval.layers.layer import Shape
from streameval.layers.numbers import Borders, Pair, borders, float32, image, one, pair, vector, windows

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


@frozen(eq=False)
class Conv2d:
    """A convolution: out[o, y, x] = activation(bias[o] + sum_cij in[c, y sy + i - top, x sx + j - left] w[o, c, i, j]).

    weight      (outputs, channels / groups, height, width), kept as a read-only float32 copy
    bias        (outputs,), kept as a read-only float32 copy; None: zeros
    stride      one number, or (down, across)
    padding     zeros around the image: one number, (down, across) or (top, left, bottom, right)
    groups      group g of the outputs sees group g of the channels only; as many groups as channels: depthwise
    activation  one of `streameval.kernels.names.ACTIVATIONS`, "leaky_relu(0.2)" for another slope

    Raises:
        ModelError: an array that is not floating point, empty or of the wrong shape; sizes that mean nothing.
    """

    kind: ClassVar[str] = "conv2d"

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: Pair
    padding: Borders
    groups: int
    activation: str

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        groups: int = 1,
        activation: str = "identity",
    ) -> None:
        w, parts = float32(weight, "weight"), one(groups, "groups", 1)
        if w.ndim != 4 or w.size == 0:
            raise ModelError(
                f"weight: shape {w.shape}, expected (outputs, channels / groups, height, width), each at least 1."
            )
        if w.shape[0] % parts:
            raise ModelError(f"groups: {parts}, but {w.shape[0]} outputs cannot be shared among them.")
        given = np.zeros(w.shape[0], np.float32) if bias is None else bias
        b = vector(given, w.shape[0], "bias", f"the weight of shape {w.shape} has {w.shape[0]} outputs")
        for name, value in {
            "weight": w,
            "bias": b,
            "stride": pair(stride, "stride"),
            "padding": borders(padding),
            "groups": parts,
            "activation": check_activation(activation),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> None:
        """Not settled by itself: any image that is large enough."""

    @property
    def channels(self) -> int:
        """Channels that come in."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def signature(self) -> str:
        """See `Layer`."""
        o, c, h, w = self.weight.shape
        return f"{self.activation} {o} {c} {h} {w} stride {self.stride} padding {self.padding} groups {self.groups}"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`."""
        return {"weight": self.weight, "bias": self.bias}

    def shape(self, inputs: Shape) -> tuple[int, int, int]:
        """See `Layer`: (channels, height, width) in, (outputs, height, width) out."""
        what = f"a convolution of weight {self.weight.shape} and {self.groups} groups"
        channels, height, width = image(inputs, what)
        if channels != self.channels:
            raise ModelError(f"{what} takes {self.channels} channels, not {inputs}.")
        (top, left, bottom, right), (sy, sx) = self.padding, self.stride
        down = windows(height, self.weight.shape[2], sy, top, bottom)
        across = windows(width, self.weight.shape[3], sx, left, right)
        if down * across == 0:
            raise ModelError(f"{what} does not fit into an image of {inputs} with padding {self.padding}.")
        return self.weight.shape[0], down, across

    def multiply_adds(self, inputs: Shape) -> int:
        """One for each weight and place, padding included."""
        _, down, across = self.shape(inputs)
        return self.weight.size * down * across

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        (top, left, bottom, right), (sy, sx) = self.padding, self.stride
        outputs, down, across = self.shape(values.shape[1:])
        weight = self.weight.astype(np.float64).reshape(self.groups, -1, *self.weight.shape[1:])
        x = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
        x = x.reshape(len(x), self.groups, -1, *x.shape[2:])
        total = np.zeros((len(x), self.groups, outputs // self.groups, down, across))
        for i, j in np.ndindex(*self.weight.shape[2:]):
            seen = x[:, :, :, i : i + sy * down : sy, j : j + sx * across : sx][..., :down, :across]
            for group, filters in enumerate(weight[..., i, j]):
                each = seen[:, group].transpose(0, 2, 3, 1)
                products = matmul(each.reshape(-1, each.shape[3]), filters.T)
                total[:, group] += products.reshape(*each.shape[:3], -1).transpose(0, 3, 1, 2)
        total = total.reshape(len(x), outputs, down, across) + self.bias[:, None, None]
        return activate(self.activation, total)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_conv

        return add_conv(builder, source, self, self.shape(source.shape))
