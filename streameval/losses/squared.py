"""The squared error."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.losses.elementwise import Elementwise


@frozen
class Squared(Elementwise):
    """(z - t)**2, the mean over the outputs of a row, in squared units of the target: PyTorch's `mse_loss`."""

    name: ClassVar[str] = "squared"
    formula: ClassVar[str] = "mean over the outputs of a row of (z - t)**2, z = network(x)"
    detail: ClassVar[str] = "squared error, the mean over a row's outputs"

    def term(self) -> Any:
        """See `Elementwise`."""
        return _term()

    def each(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Elementwise`."""
        return (z - t) * (z - t)


@functools.cache
def _term() -> Any:
    from streameval.kernels.compiling import device

    @device
    def squared(z: Any, t: Any, parameters: Any, k: Any) -> Any:
        return (z - t) * (z - t)

    return squared
