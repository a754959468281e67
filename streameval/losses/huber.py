"""Huber's loss: squared near the target, absolute far from it."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses.elementwise import Elementwise


@frozen
class Huber(Elementwise):
    """(z - t)**2 / 2 up to |z - t| = delta, delta (|z - t| - delta / 2) beyond, the mean over the outputs of a row.

    delta  where it turns, a finite number above 0, in units of the target

    PyTorch's `huber_loss`. Raises UsageError for another delta. Source: P. J. Huber, Robust Estimation of a Location
    Parameter, Annals of Mathematical Statistics 35 (1964).
    """

    delta: float = 1.0

    name: ClassVar[str] = "huber"
    in_units: ClassVar[tuple[str, ...]] = ("delta",)

    def __post_init__(self) -> None:
        expected = "a finite number above 0, for instance 1"
        delta = real("delta", self.delta, expected)
        if not 0.0 < delta < math.inf:
            raise UsageError(f"delta: {self.delta!r}, expected {expected}.")
        object.__setattr__(self, "delta", delta)

    @property
    def formula(self) -> str:
        """See `Loss`."""
        return (
            "mean over the outputs of a row of g**2 / 2 for |g| <= delta, else delta (|g| - delta / 2); g = z - t, "
            f"z = network(x), delta = {self.delta:g}"
        )

    @property
    def detail(self) -> str:
        """See `Loss`."""
        return f"Huber's loss with delta {self.delta:g}, the mean over a row's outputs"

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`."""
        return {"delta": self.delta}

    def term(self) -> Any:
        """See `Elementwise`."""
        return _term()

    def each(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Elementwise`."""
        gap = np.abs(z - t)
        near = np.minimum(gap, self.delta)
        return near * (gap - 0.5 * near)


@functools.cache
def _term() -> Any:
    from streameval.kernels.compiling import device
    from streameval.kernels.lanes import absolute, select

    @device
    def huber(z: Any, t: Any, parameters: Any, k: Any) -> Any:
        delta, gap = parameters[0], absolute(z - t)
        near = select(gap > delta, delta, gap)  # NaN stays NaN
        return near * (gap - 0.5 * near)

    return huber
