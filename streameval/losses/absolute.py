"""The absolute error."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.losses.elementwise import Elementwise


@frozen
class Absolute(Elementwise):
    """|z - t|, the mean over the outputs of a row, in units of the target: PyTorch's `l1_loss`."""

    name: ClassVar[str] = "absolute"
    formula: ClassVar[str] = "mean over the outputs of a row of |z - t|, z = network(x)"
    degree: ClassVar[int] = 1
    detail: ClassVar[str] = "absolute error, the mean over a row's outputs"

    def term(self) -> Any:
        """See `Elementwise`."""
        return _term()

    def each(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Elementwise`."""
        return np.abs(z - t)


@functools.cache
def _term() -> Any:
    from streameval.kernels import lanes
    from streameval.kernels.compiling import device

    size = lanes.absolute

    @device
    def absolute(z: Any, t: Any, parameters: Any, k: Any) -> Any:
        return size(z - t)

    return absolute
