"""Layers without numbers of their own: an activation by itself, flattening, and dropout as prediction sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import activate, check_activation
from streameval.layers.layer import Shape

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


class _Plain:
    """What they share: any shape, no arrays."""

    __slots__ = ()

    @property
    def inputs(self) -> None:
        """Not settled by itself: any shape."""

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`: none."""
        return {}

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`: unchanged."""
        return inputs

    def multiply_adds(self, inputs: Shape) -> int:
        """None."""
        return 0


@frozen(eq=False)
class Activation(_Plain):
    """An activation by itself: one of `streameval.kernels.names.ACTIVATIONS`, "leaky_relu(0.2)" for another slope.

    Raises ModelError for one that is not known.
    """

    kind: ClassVar[str] = "activation"

    activation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", check_activation(self.activation))

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return self.activation

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return activate(self.activation, values)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_copied_activation

        return add_copied_activation(builder, source, self.activation)


@frozen(eq=False)
class Flatten(_Plain):
    """(channels, height, width) as one row of numbers, channels first: the order in which they lie anyway."""

    kind: ClassVar[str] = "flatten"

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return ""

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`."""
        return (math.prod(inputs),)

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return values.reshape(len(values), -1)

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        return builder.flat(source, math.prod(source.shape))


@frozen(eq=False)
class Dropout(_Plain):
    """Dropout as prediction sees it: x * factor.

    factor  1 where training divided by what it kept, as everybody does today; what training kept (0.5) where it
            did not, as in the book "Deep Learning from Scratch"

    Raises ModelError for a factor that is not a finite number.
    """

    kind: ClassVar[str] = "dropout"

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.factor, float | int) or not math.isfinite(self.factor):
            raise ModelError(
                f"factor: {self.factor!r}, expected a number: 1, or the share that training kept."
            )
        object.__setattr__(self, "factor", float(self.factor))

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return self.factor.hex()

    def multiply_adds(self, inputs: Shape) -> int:
        """One for each value, unless the factor is 1."""
        return 0 if self.factor == 1.0 else math.prod(inputs)

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return values * self.factor

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        if self.factor == 1.0:
            return source
        from streameval.kernels.image_packing import add_affine

        channels = source.image[0]
        return add_affine(
            builder,
            source,
            np.full(channels, self.factor, np.float32),
            np.zeros(channels, np.float32),
            "identity",
        )
