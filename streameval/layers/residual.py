"""Two branches of layers that take the same values, and the sum of what they give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import activate, check_activation
from streameval.layers.conv2d import Conv2d
from streameval.layers.fusing import fused
from streameval.layers.layer import Layer, Shape

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


@frozen(eq=False)
class Residual:
    """activation(body(x) + shortcut(x)).

    body        layers one after another, at least one
    shortcut    the same; none: x itself
    activation  one of `streameval.kernels.names.ACTIVATIONS`

    Raises ModelError for an empty body, or something that is no layer.
    """

    kind: ClassVar[str] = "residual"

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...]
    activation: str

    def __init__(
        self, body: Iterable[Layer], shortcut: Iterable[Layer] = (), activation: str = "identity"
    ) -> None:
        from streameval.layers import layer_classes

        branches = {"body": tuple(body), "shortcut": tuple(shortcut)}
        if not branches["body"]:
            raise ModelError("body: no layers, expected at least one.")
        for name, layers in branches.items():
            for number, layer in enumerate(layers, start=1):
                if not isinstance(layer, layer_classes()):
                    raise ModelError(f"{name}, layer {number}: {type(layer).__name__}, expected a layer.")
            object.__setattr__(self, name, layers)
        object.__setattr__(self, "activation", check_activation(activation))

    @property
    def inputs(self) -> int | None:
        """Those of its first layer, if that says."""
        return next((layers[0].inputs for layers in (self.body, self.shortcut) if layers), None)

    @property
    def signature(self) -> str:
        """Those of its layers."""
        branches = (
            "; ".join(f"{layer.kind} {layer.signature}" for layer in layers)
            for layers in (self.body, self.shortcut)
        )
        return f"{self.activation} [{'] + ['.join(branches)}]"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Those of its layers: body.1.weight, …"""
        return {
            f"{name}.{number}.{key}": array
            for name, layers in (("body", self.body), ("shortcut", self.shortcut))
            for number, layer in enumerate(layers, start=1)
            for key, array in layer.arrays().items()
        }

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`: that of both branches."""
        body, shortcut = self._shapes(self.body, inputs)[-1], self._shapes(self.shortcut, inputs)[-1]
        if body != shortcut:
            raise ModelError(
                f"the body of a residual layer gives {body} for {inputs}, its shortcut {shortcut}: expected the same."
            )
        return body

    def multiply_adds(self, inputs: Shape) -> int:
        """Those of its layers."""
        return sum(
            layer.multiply_adds(shape)
            for layers in (self.body, self.shortcut)
            for layer, shape in zip(layers, self._shapes(layers, inputs), strict=False)
        )

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        body = shortcut = values
        for layer in self.body:
            body = layer.reference(body)
        for layer in self.shortcut:
            shortcut = layer.reference(shortcut)
        return activate(self.activation, body + shortcut)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_sum

        body = shortcut = source
        layers = fused(self.body)
        for layer in layers:
            body = layer.pack(builder, body)
        for layer in fused(self.shortcut):
            shortcut = layer.pack(builder, shortcut)
        # Convolutions give a place of their own; what other layers give may be the source under another shape.
        own = bool(layers) and isinstance(layers[-1], Conv2d) and body is not shortcut
        return add_sum(builder, body, shortcut, self.activation, in_place=own)

    @staticmethod
    def _shapes(layers: tuple[Layer, ...], inputs: Shape) -> list[Shape]:
        shapes = [inputs]
        for layer in layers:
            shapes.append(layer.shape(shapes[-1]))
        return shapes
